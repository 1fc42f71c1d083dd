// What a reader does with the published book, where no server runs anything: in a real browser, on a stand-in for the Linux in
// the page. Started by site.rs with the site, a site without a machine, and the browser. Each step prints its name; the first
// that fails ends the program with 1. Names of steps after these arguments: only those.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { audit } from './accessible.mjs';
import { files } from './files.mjs';
import { run } from './steps.mjs';
import { published } from './unusual.mjs';

// The packages are below target/, not beside this file.
const require = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [folder, plainFolder, browserPath, ...wanted] = process.argv.slice(2);
// As the site of a project is on GitHub: not at the root of its host.
const [site, plain] = [await files(folder, '/name'), await files(plainFolder)];
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });

const PAGE = '02-close-on-exec/fd-vanishes.html';
const OFFER = /^Run on a Linux in this page \(\d+\.\d MB, once\)$/;

/** Opens a page as a reader who was never here. Errors of its scripts fail the step. */
async function open(address, { phone = false, without } = {}) {
    const context = await browser.newContext(phone ? { viewport: { width: 390, height: 844 } } : {});
    context.setDefaultTimeout(120_000); // on a machine with much else to do
    if (without) await context.addInitScript((name) => delete globalThis[name], without);
    const tab = await context.newPage();
    tab.errors = [];
    tab.on('pageerror', (error) => tab.errors.push(error.message));
    await tab.goto(address);
    return tab;
}

async function closed(tab) {
    assert.deepEqual(tab.errors, [], 'the scripts of a page fail');
    await tab.context().close();
}

/** Predicts, runs, and waits for what comes of it. */
async function runs(tab, expected) {
    await tab.check('#live-predict-a');
    await tab.click('.live-run');
    await tab.waitForSelector(expected);
}

/** Says what was seen, and returns the verdict. */
async function judged(tab) {
    await tab.check('#live-saw-c');
    await tab.click('button:text-is("Show the verdict")');
    return tab.locator('.live-verdict').textContent();
}

/** Shows the wrong answers of an exercise, chooses a test, and waits for what comes of it. */
async function catches(tab, test, expected) {
    const show = tab.locator('button:text-matches("^Show the (first|next) one$")');
    await show.click();
    await tab.check(`#live-catch-${test}`);
    await tab.click('section[aria-label="Catch the mistake"] .live-run');
    await tab.waitForSelector(expected);
}

const EXERCISE = '02-close-on-exec/exercise-flags.html';

const fetched = (server) => server.sent.map(({ path }) => path).filter((path) => path.startsWith('/machine/'));

const steps = {
    async predicts() {
        const tab = await open(`${site.origin}/${PAGE}`);
        await tab.waitForSelector('.live-run');
        assert.match(await tab.locator('.live-run').textContent(), OFFER);
        assert(await tab.isDisabled('.live-run'), 'Run waits for a prediction');
        assert.deepEqual(fetched(site), ['/machine/machine.json'], 'nothing of the machine is loaded before the press');
        const modules = site.sent.filter(({ path }) => /^\/live\b.*\.js/.test(path));
        assert(modules.length > 5 && modules.every(({ path, size }) => size && /^\/live-[0-9a-f]{12}\//.test(path)), 'a browser keeps modules, too');
        await runs(tab, '#live-saw-c');
        assert.equal(await tab.locator('.live-timeline li').count(), 3);
        const verdict = await judged(tab);
        assert.match(verdict, /The answer is c\. Linux 6\.12\.0 in this page agrees with the book\./);
        assert.match(verdict, /You predicted a\. You saw c: right\.Why not a\? It is not\./);
        assert.match(await tab.locator('.live-progress').first().textContent(), /predicted 1 of \d+/);
        assert.equal(tab.workers().length, 0, 'the machine is gone after the run');
        // The browser keeps the prediction, and the machine.
        await tab.reload();
        await tab.waitForSelector('.live-status:has-text("You predicted this before")');
        assert.equal(await tab.locator('.live-run').textContent(), 'Run on a Linux in this page');
        const before = fetched(site).length;
        await runs(tab, '#live-saw-c');
        assert.deepEqual(fetched(site).slice(before), [], 'nothing is fetched twice');
        await closed(tab);
    },
    async stops() {
        const tab = await open(`${site.origin}/02-close-on-exec/dup-clears.html`);
        await runs(tab, '.live-timeline li');
        await tab.click('.live-buttons button:text-is("Stop")');
        await tab.waitForSelector('.live-status:has-text("Stopped.")');
        assert.equal(tab.workers().length, 0);
        assert.equal(await tab.locator('.live-run').textContent(), 'Run again');
        await closed(tab);
    },
    async bounds() {
        const tab = await open(`${site.origin}/02-close-on-exec/dup-clears.html`);
        await runs(tab, '.live-refused:has-text("It was still running after 2 s, and was stopped.")');
        assert.equal(tab.workers().length, 0);
        await tab.goto(`${site.origin}/04-waker/merged-signals.html`);
        await runs(tab, '.live-refused:has-text("It printed more than is shown, and was stopped.")');
        assert.equal(tab.workers().length, 0);
        await closed(tab);
    },
    async fails() {
        const tab = await open(`${site.origin}/03-nonblocking-pipes/broken-pipe.html`);
        await runs(tab, '.live-refused:has-text("The experiment ended without a verdict.")');
        assert.match(await tab.locator('.live-output').textContent(), /Killed/);
        await tab.goto(`${site.origin}/03-nonblocking-pipes/pipe-buf.html`);
        await runs(tab, '.live-refused:has-text("The experiment ended without an answer. It was killed.")');
        await tab.goto(`${site.origin}/03-nonblocking-pipes/two-writers.html`);
        await runs(tab, '.live-refused:has-text("Linux does not run in this browser: ")');
        await tab.goto(`${site.origin}/06-fork-and-accept/cost-of-fork.html`);
        await tab.waitForSelector('.predict .live-status:has-text("Linux 6.12.0 in this page cannot be asked: it has too little memory.")');
        assert.equal(await tab.locator('.live-run').count(), 0);
        await closed(tab);
    },
    async leavesThePageAsItIs() {
        const expected = async (tab) => {
            await tab.waitForLoadState('networkidle');
            assert.equal(await tab.locator('.live-run, .live-notice').count(), 0);
            assert.equal(await tab.locator('.predict > ul > li').count(), 4);
            await closed(tab);
        };
        await expected(await open(`${plain.origin}/${PAGE}`));
        await expected(await open(pathToFileURL(`${plainFolder}/${PAGE}`).href));
        for (const without of ['Worker', 'WebAssembly', 'DecompressionStream']) {
            await expected(await open(`${site.origin}/${PAGE}`, { without }));
        }
    },
    async fromAFile() {
        for (const page of ['index.html', PAGE]) {
            const tab = await open(pathToFileURL(`${folder}/${page}`).href);
            await tab.waitForSelector('.live-run');
            await runs(tab, '#live-saw-c');
            assert.match(await judged(tab), /Linux 6\.12\.0 in this page agrees with the book\./);
            await closed(tab);
        }
    },
    async keyboard() {
        const tab = await open(`${site.origin}/${PAGE}`);
        await tab.waitForSelector('.live-run');
        await tab.focus('.live-choice input');
        for (const key of ['ArrowDown', 'Tab', 'Enter']) await tab.keyboard.press(key);
        await tab.waitForSelector('#live-saw-a');
        // The first choice of what was seen has the focus.
        for (const key of ['ArrowDown', 'Tab', 'Enter']) await tab.keyboard.press(key);
        await tab.waitForSelector('.live-verdict:focus');
        await closed(tab);
    },
    async frontPage() {
        const tab = await open(`${site.origin}/`, { phone: true });
        await tab.waitForSelector('.live-run');
        assert.match(await tab.locator('.live-run').textContent(), OFFER);
        await runs(tab, '#live-saw-c');
        await judged(tab);
        assert.match(await tab.locator('.live-progress').first().textContent(), /predicted 1 of \d+/);
        await closed(tab);
    },
    async catchesTheMistake() {
        for (const address of [`${site.origin}/${EXERCISE}`, pathToFileURL(`${folder}/${EXERCISE}`).href]) {
            const tab = await open(address);
            const section = tab.locator('section[aria-label="Catch the mistake"]');
            await section.waitFor();
            assert.equal(await tab.locator('.live-state').count(), 0, 'nothing is compiled in the page');
            const before = fetched(site).length;
            await catches(tab, 'a_passes', '.live-verdict');
            assert.match(await section.locator('pre').textContent(), /^ kept\n-old\n\+new\n$/);
            assert.match(await section.locator('.live-choice').last().textContent(), /b_fails“… no b …”/);
            assert.deepEqual(await section.locator('.live-tests li').allTextContents(), ['✓ a_passes passes', '✗ b_fails fails: it is wrong']);
            assert.match(await section.locator('.live-verdict').textContent(), /^Not that one: a_passes passes\. It forgets b\.$/);
            if (address.startsWith('http')) {
                const own = fetched(site).slice(before).filter((path) => path.startsWith('/machine/wrong-answers/'));
                const names = own.map((path) => path.split('/').pop());
                const digest = createHash('sha256').update(readFileSync(folder + own[1])).digest('hex').slice(0, 12);
                // A browser keeps the program under its name: one that has changed must have another name.
                assert.deepEqual(names, ['cloexec-flags.json', `cloexec-flags-${digest}.gz`], 'only these, once');
            }
            await catches(tab, 'b_fails', '.live-verdict.live-agrees');
            assert.match(await section.locator('.live-verdict').textContent(), /^You caught it\. It does so again\.$/);
            assert.equal(await section.locator('button:text-is("Show the next one")').count(), 0);
            assert.equal(tab.workers().length, 0, 'the machine is gone after the tests');
            await closed(tab);
        }
        // An exercise of which nothing is asked.
        const tab = await open(`${site.origin}/02-close-on-exec/exercise-open.html`);
        await tab.waitForLoadState('networkidle');
        assert.equal(await tab.locator('section[aria-label="Catch the mistake"]').count(), 0);
        await closed(tab);
    },
    async asksWhichFilesThereAre() {
        const tab = await open(`${site.origin}/${PAGE}`);
        await tab.waitForSelector('.live-run');
        const before = fetched(site).length;
        await tab.goto(`${site.origin}/${EXERCISE}`);
        await tab.locator('section[aria-label="Catch the mistake"]').waitFor();
        assert(fetched(site).slice(before).includes('/machine/machine.json'), 'an answer that the browser kept may name files that are gone');
        await closed(tab);
    },
    async shell() {
        const tab = await open(`${site.origin}/appendix/shell.html`);
        await tab.waitForSelector('button:text-is("Try it")');
        // The second one while the machine is loaded.
        await tab.evaluate(() => ['Start', 'Try it'].forEach((text) => [...document.querySelectorAll('button')].find((it) => it.textContent.startsWith(text)).click()));
        await tab.waitForSelector('.live-log:has-text("with strace # ")');
        await tab.waitForFunction(() => document.querySelector('.live-log').textContent.split('ran ').length === 2);
        assert(await tab.evaluate(() => document.activeElement.id === 'live-command'), 'the line to type in has the focus');
        await tab.keyboard.type('uname -r');
        await tab.keyboard.press('Enter');
        await tab.waitForSelector('.live-log:has-text("ran uname -r")');
        assert.doesNotMatch(await tab.locator('.live-log').textContent(), /\x1b|\u241b|\r/, 'colors are left out');
        await tab.keyboard.press('ArrowUp');
        assert.equal(await tab.inputValue('#live-command'), 'uname -r');
        await tab.keyboard.press('Control+c');
        await tab.waitForSelector('.live-log:has-text("^C")');
        // As mdBook does when its button has copied the block.
        await tab.locator('.live-try .clip-button').first().evaluate((button) => (button.firstChild.innerText = 'Copied!'));
        await tab.locator('button:text-is("Try it")').first().click();
        await tab.waitForFunction(() => document.querySelector('.live-log').textContent.split('ran ').length === 4);
        assert.equal((await tab.locator('.live-log').textContent()).split('ran shared-offset').length, 3, 'twice, and without the words of the button that copies');
        await tab.click('button:text-is("Stop the machine")');
        await tab.waitForSelector('.live-status:has-text("The machine is gone")');
        assert.equal(tab.workers().length, 0);
        // End of file ends the shell, and then nothing reads what is typed.
        await tab.click('button:text-is("Start a new machine")');
        await tab.waitForSelector('#live-command:focus');
        await tab.keyboard.press('Control+d');
        await tab.waitForSelector('.live-status:has-text("The shell has exited")');
        assert.equal(await tab.evaluate(() => document.activeElement.textContent), 'Start a new machine', 'the line is gone, and the focus is not lost');
        assert.equal(tab.workers().length, 0);
        await closed(tab);
    },
    ...published({ open, closed, runs, site, folder, page: PAGE }),
    async accessible() {
        const found = [];
        const pages = [['index.html', '#live-saw-c'], [PAGE, '#live-saw-c'], ['appendix/shell.html', '.live-log'], [EXERCISE, '.live-tests']];
        for (const [page, ready] of pages) {
            const tab = await open(`${site.origin}/${page}`, { phone: true });
            if (ready === '.live-log') await tab.click('button:has-text("Start a Linux in this page")');
            else if (page === EXERCISE) await catches(tab, 'a_passes', '.live-verdict');
            else await runs(tab, ready);
            await tab.waitForSelector(ready);
            const look = async (when) => found.push(...(await audit(tab, axe)).map((wrong) => `${page}, ${when}: ${wrong}`));
            await look('before the verdict');
            if (ready === '#live-saw-c') await judged(tab);
            await look('after it');
            const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wide > 0) found.push(`${page}: ${wide} pixels wider than a phone`);
            await closed(tab);
        }
        assert.deepEqual(found, []);
    },
};

const passed = await run(steps, wanted);
await browser.close();
for (const server of [site, plain]) server.close();
process.exitCode = passed ? 0 : 1;
