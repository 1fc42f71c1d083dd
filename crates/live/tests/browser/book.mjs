// What a reader does with the live book, done in a real browser. Started by browser.rs with the server's address, which has
// the token, and the path of Chromium. Each step prints its name; the first that fails ends the program with 1.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// The packages are below target/, not beside this file.
const require = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`));
const { chromium } = require('playwright-core');
// Evaluated by the debugger, because the pages' policy forbids scripts that are not the server's.
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [address, browserPath, ...wanted] = process.argv.slice(2);
const origin = new URL(address).origin;
const token = new URL(address).hash;
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });

/** Opens a page of the book in a tab of its own. Errors of its scripts fail the step. */
async function open(path, withToken = true, inContext = context) {
    const tab = await inContext.newPage();
    tab.errors = [];
    tab.on('pageerror', (error) => tab.errors.push(error.message));
    await tab.goto(`${origin}/${path}${withToken ? token : ''}`);
    return tab;
}

async function closed(tab) {
    assert.deepEqual(tab.errors, [], 'the scripts of a page fail');
    await tab.close();
}

/** Predicts, runs, says what was seen, and returns the verdict. */
async function runs(tab, predicted, seen) {
    await tab.waitForSelector('.live-run');
    assert(await tab.isDisabled('.live-run'), 'Run waits for a prediction');
    await tab.check(`#live-predict-${predicted}`);
    await tab.click('.live-run');
    await tab.waitForSelector(`#live-saw-${seen}`, { timeout: 120_000 });
    assert((await tab.locator('.live-timeline li').count()) > 2, 'the timeline is drawn before the verdict');
    assert.equal(await tab.locator('.live-verdict').count(), 0, 'no verdict before the reader has said what was seen');
    await tab.check(`#live-saw-${seen}`);
    await tab.click('text=Show the verdict');
    return tab.locator('.live-verdict').textContent();
}

const steps = {
    async mispredict() {
        const tab = await open('02-close-on-exec/fd-vanishes.html');
        const verdict = await runs(tab, 'a', 'c');
        assert.match(verdict, /The answer is c\./);
        assert.match(verdict, /You predicted a\. You saw c: right\./);
        assert.match(verdict, /Why not a\?/);
        assert(!tab.url().includes('t='), 'the token is no longer in the address bar');
        await tab.waitForSelector('.live-progress');
        assert.match(await tab.locator('.live-progress').first().textContent(), /predicted 1 of \d+/);
        await closed(tab);
    },
    async noIdea() {
        const tab = await open('02-close-on-exec/dup-clears.html');
        assert.match(await runs(tab, 'none', 'b'), /You had no idea/);
        await closed(tab);
    },
    async keyboard() {
        const tab = await open('02-close-on-exec/fd-vanishes.html');
        await tab.waitForSelector('.live-run');
        await tab.focus('.live-choice input');
        await tab.keyboard.press('ArrowDown');
        await tab.keyboard.press('Tab');
        await tab.keyboard.press('Enter');
        await tab.waitForSelector('.live-result fieldset', { timeout: 120_000 });
        await closed(tab);
    },
    async failingCheck() {
        const tab = await open('02-close-on-exec/exercise-flags.html');
        await tab.click('.live-exercise button:has-text("Check")', { timeout: 30_000 });
        await tab.waitForSelector('.live-exercise pre, .live-exercise p code', { timeout: 300_000 });
        assert.match(await tab.locator('.live-exercise').textContent(), /Not done yet/);
        await closed(tab);
    },
    async foreignTab() {
        const tab = await (await browser.newContext()).newPage();
        tab.errors = [];
        await tab.goto(`${origin}/02-close-on-exec/fd-vanishes.html`);
        await tab.waitForSelector('.live-notice:not([hidden])');
        assert.match(await tab.locator('.live-notice').textContent(), /token/, 'without the token the page says what to do');
        await tab.context().close();
    },
    async tenTabs() {
        const tabs = [];
        for (let n = 0; n < 10; n++) tabs.push(await open('preface.html'));
        const last = await open('02-close-on-exec/flag-or-description.html');
        assert.match(await runs(last, 'c', 'c'), /The answer is [a-d]\./, 'the eleventh tab still gets a connection');
        for (const tab of [...tabs, last]) await closed(tab);
    },
    async blockedLoop() {
        const tab = await open('10-http-on-the-loop/live-loop.html');
        await tab.waitForSelector('.live-strip');
        await tab.click('text=Block the loop for 300 ms');
        await tab.waitForSelector('#live-loop .live-output:not([hidden])', { timeout: 10_000 });
        assert.match(await tab.locator('#live-loop .live-output').textContent(), /\w+::\w+/, 'the watchdog names a function');
        await tab.waitForSelector('#live-loop tbody tr');
        await closed(tab);
    },
    async accessible() {
        const pages = ['02-close-on-exec/fd-vanishes.html', '02-close-on-exec/exercise-flags.html', 'preface.html',
            '10-http-on-the-loop/live-loop.html', '10-http-on-the-loop/local-server.html'];
        for (const theme of ['light', 'navy']) {
            const themed = await browser.newContext({ viewport: { width: 390, height: 844 } });
            await themed.addInitScript((name) => localStorage.setItem('mdbook-theme', name), theme);
            for (const path of pages) {
                const tab = await open(path, true, themed);
                await tab.waitForSelector('html.live-book', { state: 'attached' });
                await tab.evaluate(axe);
                const { violations } = await tab.evaluate(() => globalThis.axe.run('.content', { resultTypes: ['violations'] }));
                assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], `${path}, ${theme}`);
                await tab.close();
            }
            await themed.close();
        }
    },
};

let failed = false;
for (const [name, step] of Object.entries(steps)) {
    if (wanted.length && !wanted.includes(name)) continue;
    try {
        await step();
        console.log(`${name}: ok`);
    } catch (error) {
        console.log(`${name}: ${error.message}`);
        failed = true;
        break;
    }
}
await browser.close();
process.exitCode = failed ? 1 : 0;
