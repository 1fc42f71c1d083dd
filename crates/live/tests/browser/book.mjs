// What a reader does with the live book, done in a real browser. Started by browser.rs with the server's program, the reader's
// tool, the checkout, a copy of it in which files are changed, and the browser. Each step prints its name; the first that
// fails ends the program with 1. Names of steps after these arguments: only those.

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { violations } from './accessible.mjs';
import { exercises } from './exercises.mjs';
import { Server } from './server.mjs';
import { run } from './steps.mjs';
import { served } from './unusual.mjs';

// The packages are below target/, not beside this file.
const require = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [program, tool, checkout, copy, into, browserPath, ...wanted] = process.argv.slice(2);
const serve = (root, folder) => {
    const options = { tool, root, into: `${into}/${folder}`, verdicts: `${root}/target/workbook/verdicts.json` };
    return new Server(program, Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])).start();
};
// Experiments run in the checkout, where they are compiled already. What a reader edits is edited in the copy.
const [server, scratch] = [await serve(checkout, 'book'), await serve(copy, 'copy')];
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });

/** Saves a file of the copy in one step, as editors do. */
function save(path, text) {
    writeFileSync(`${copy}/saved`, text);
    renameSync(`${copy}/saved`, `${copy}/${path}`);
}

const read = (path) => readFileSync(`${copy}/${path}`, 'utf8');

/** Opens a page of the book in a tab of its own. Errors of its scripts fail the step. */
async function open(path, { origin, token } = server) {
    const tab = await context.newPage();
    tab.errors = [];
    tab.on('pageerror', (error) => tab.errors.push(error.message));
    await tab.goto(`${origin}/${path}${token}`);
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
    await tab.waitForSelector(`#live-saw-${seen}`, { timeout: 300_000 });
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
        const focused = () => tab.evaluate(() => document.activeElement.textContent);
        await tab.keyboard.press('ArrowDown');
        await tab.keyboard.press('Tab');
        await tab.keyboard.press('Enter');
        assert.equal(await focused(), 'Stop', 'Run, which cannot be pressed now, has passed its focus on');
        await tab.keyboard.press('Enter');
        await tab.waitForSelector('.live-status:has-text("Stopped.")');
        assert.equal(await focused(), 'Run again');
        // The server still ends what has run.
        while (!await tab.locator('.live-result fieldset').count()) {
            if (await tab.isEnabled('.live-run')) await tab.keyboard.press('Enter');
            await tab.waitForTimeout(100);
        }
        await closed(tab);
    },
    ...exercises({ open: (path) => open(path, scratch), closed, save, read, tool, copy }),
    ...served({ open, closed, browser, server }),
    async edit() {
        const tab = await open('preface.html', scratch);
        await reloads(tab);
        await closed(tab);
    },
    async lostServer() {
        const tab = await open('preface.html', scratch);
        const notice = tab.locator('.live-notice');
        await tab.waitForSelector('html.live-book .live-notice', { state: 'attached' });
        const checks = await open('02-close-on-exec/exercise-flags.html', scratch);
        await checks.click('.live-exercise button:has-text("Check")');
        await checks.waitForSelector('.live-exercise button:text-is("Stop")');
        assert.equal(await scratch.end('SIGKILL'), null);
        await tab.waitForSelector('.live-notice:has-text("The server does not answer")', { timeout: 30_000 });
        await checks.waitForSelector('.live-exercise .live-refused:has-text("The server does not answer")');
        const before = scratch.token;
        await scratch.start();
        assert.notEqual(scratch.token, before);
        await tab.waitForSelector('.live-notice:has-text("The server was restarted")', { timeout: 30_000 });
        // Only the fragment is another one, so the browser by itself would load nothing.
        await tab.goto(`${scratch.origin}/preface.html${scratch.token}`);
        // All tabs of a browser have the new address.
        for (const each of [tab, checks]) await each.waitForFunction(() => document.querySelector('.live-notice')?.hidden === true);
        await closed(checks);
        assert(!tab.url().includes('t='), 'the new token is no longer in the address bar');
        await reloads(tab);
        await tab.goto(`${scratch.origin}/02-close-on-exec/exercise-flags.html`);
        await tab.waitForSelector('.live-exercise button:enabled');
        assert.equal(await notice.isVisible(), false);
        await closed(tab);
    },
    async linkInANewTab() {
        const tab = await open('02-close-on-exec/index.html');
        await tab.waitForSelector('html.live-book');
        const opened = context.waitForEvent('page');
        await tab.locator('.content a[href$="fd-vanishes.html"]').first().click({ modifiers: ['Control'] });
        const other = await opened;
        await other.waitForSelector('html.live-book .live-notice', { state: 'attached' });
        await other.waitForSelector('.live-run, .live-notice:not([hidden])');
        assert.equal(await other.locator('.live-notice').textContent(), '', 'the new tab has the token');
        await other.close();
        await closed(tab);
    },
    async foreignTab() {
        const tab = await (await browser.newContext()).newPage();
        tab.errors = [];
        await tab.goto(`${server.origin}/02-close-on-exec/fd-vanishes.html`);
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
    async scrolledByKeyboard() {
        // The server adds rows to this page's table: a long label makes the table wider than the page.
        const tab = await open('10-http-on-the-loop/live-loop.html');
        await tab.waitForSelector('#live-loop table');
        const labeled = (label) => tab.evaluate((words) => {
            const turn = { number: 1, callbacks: 1, timers: 0, events: 0, slept_us: 1, label: words };
            document.dispatchEvent(new CustomEvent('workbook:event', { detail: { kind: 'trace', iterations: Array(12).fill(turn) } }));
            // A script that waited here for anything could see a later state than the reader's next key.
            return new Promise((seen) => queueMicrotask(() => {
                const box = document.querySelector('#live-loop .table-wrapper');
                seen({ wider: box.scrollWidth > box.clientWidth, focus: box.tabIndex === 0 });
            }));
        }, label);
        assert.deepEqual(await labeled('x'.repeat(200)), { wider: true, focus: true }, 'a table that became wider than the page gets the focus');
        assert.deepEqual(await labeled('x'), { wider: false, focus: false }, 'one that fits the page again does not');
        await closed(tab);
    },
    async dedented() {
        const tab = await open('10-http-on-the-loop/slow-client.html');
        const shown = await tab.$$eval('.content pre > code.language-rust', (all) => all.map((code) => code.textContent));
        const source = readFileSync(`${checkout}/experiments/10-http-on-the-loop/slow-client.rs`, 'utf8').split('\n').map((line) => line.trim());
        const indent = (line) => line.search(/\S/);
        for (const lines of shown.map((text) => text.split('\n').filter((line) => line.trim()))) {
            assert.equal(Math.min(...lines.map(indent)), 0, lines[0]);
        }
        const [first] = shown[0].split('\n');
        assert(source.includes(first), `a line of the source, whole: ${first}`);
        await closed(tab);
    },
    async accessible() {
        const tab = await open('index.html');
        const links = await tab.$$eval('.sidebar .chapter a[href]', (all) => all.filter((link) => !link.hash).map((link) => link.href));
        await closed(tab);
        const pages = [...new Set(links)].map((link) => link.slice(server.origin.length + 1));
        assert(pages.length > 100, `the contents have ${pages.length} pages`);
        const address = (page) => `${server.origin}/${page}${server.token}`;
        const wrong = await violations(browser, axe, address, pages, process.env.EVERY_THEME === '1');
        assert.deepEqual(wrong, []);
    },
};

/** Adds a sentence to the preface, and waits until the tab shows it. */
async function reloads(tab) {
    const sentence = `Edited at ${performance.now()}.`;
    save('book/src/preface.md', `${read('book/src/preface.md')}\n${sentence}\n`);
    await tab.waitForSelector(`.content :text("${sentence}")`, { timeout: 60_000 });
    await tab.waitForSelector('html.live-book .live-notice', { state: 'attached' });
}

let passed = await run(steps, wanted);
await browser.close();
for (const each of [server, scratch]) {
    const status = await each.end('SIGTERM');
    if (status !== 0) console.log(`SIGTERM has to end a server in order: ${status}`);
    passed &&= status === 0;
}
process.exitCode = passed ? 0 : 1;
