// node picture.mjs SITE CHROMIUM FILE: the picture in the README, of a page after a run on the Linux in the page.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { files } from './files.mjs';

const { chromium } = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`))('playwright-core');
const [folder, executablePath, path] = process.argv.slice(2);
const site = await files(folder);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const tab = await browser.newPage({ viewport: { width: 820, height: 900 } });
await tab.goto(`${site.origin}/01-fork-and-exec/shared-offset.html`);
await tab.check('#live-predict-a');
await tab.click('.live-run');
await tab.check('#live-saw-b');
await tab.click('button:text-is("Show the verdict")');
await tab.waitForSelector('.live-verdict');
await tab.locator('.predict').screenshot({ path });
await browser.close();
site.close();
