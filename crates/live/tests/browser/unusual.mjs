// Readers in an unusual state: a connection that breaks, a browser that keeps nothing, a link with somebody else's token. These are
// steps of site.mjs and of book.mjs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** Steps on the published book. */
export function published({ open, closed, runs, site, folder, page }) {
    const { state } = JSON.parse(readFileSync(`${folder}/machine/machine.json`, 'utf8'));
    return {
        async notFound() {
            const before = site.sent.length;
            const tab = await open(`${site.origin}/02-close-on-exec/nothing.html`);
            await tab.waitForSelector('.sidebar .chapter a', { state: 'attached' });
            await tab.waitForLoadState('networkidle');
            const missing = site.sent.slice(before).filter(({ size }) => !size).map(({ path }) => path).sort();
            assert.deepEqual(missing, ['/02-close-on-exec/nothing.html', '/api/hello'], 'its styles and scripts are found, wherever the site is');
            assert.equal(await tab.locator('.sidebar .chapter a[href$="fd-vanishes.html"]').first().evaluate((link) => link.href), `${site.origin}/${page}`);
            await closed(tab);
        },
        async connectionBreaks() {
            const path = `/machine/${state}`;
            site.faults.set(path, ['cut']);
            const once = await open(`${site.origin}/${page}`);
            await runs(once, '#live-saw-c');
            await closed(once);
            for (const fault of ['cut', 'missing']) {
                site.faults.set(path, [fault, fault]);
                const tab = await open(`${site.origin}/${page}`);
                await runs(tab, '.live-refused');
                // A page that was loaded before the book was published anew asks for files that are gone.
                assert.match(await tab.locator('.live-refused').textContent(), /^Linux cannot be loaded \(state-\w+\.\w+: .+\)\. Are you online\? .+ load this page again/);
                assert.equal(tab.workers().length, 0);
                await tab.click('.live-run');
                await tab.waitForSelector('#live-saw-c');
                await closed(tab);
            }
            const tab = await open(`${site.origin}/${page}`);
            await tab.waitForSelector('.live-run');
            const modules = site.sent.findLast(({ path }) => path.endsWith('/linux.js')).path;
            site.faults.set(modules.replace('linux.js', 'linux-worker.js'), ['missing']);
            await runs(tab, '.live-refused:has-text("Linux cannot be loaded (its worker cannot be started)")');
            await closed(tab);
        },
        async readsElsewhere() {
            const tab = await open(`${site.origin}/${page}`);
            await tab.check('#live-predict-a');
            await tab.evaluate(() => {
                document.querySelector('.live-run').click();
                const line = document.createElement('input');
                document.body.append(line);
                line.focus();
            });
            await tab.waitForSelector('#live-saw-c');
            await tab.keyboard.type('c');
            assert.equal(await tab.evaluate(() => document.activeElement.value), 'c', 'what a reader types meanwhile goes where it went before');
            await closed(tab);
        },
        async scrollsByArrowKeys() {
            const tab = await open(`${site.origin}/${page}`, { phone: true });
            await tab.evaluate(() => document.querySelectorAll('details').forEach((details) => (details.open = true)));
            const box = tab.locator('.content pre > code[tabindex="0"]').first();
            await box.focus();
            await tab.keyboard.press('ArrowRight');
            await box.evaluate(async (code) => {
                while (!code.scrollLeft) await new Promise(requestAnimationFrame);
            });
            assert.equal(tab.url(), `${site.origin}/${page}`, 'mdBook goes to the next chapter at this key');
            await closed(tab);
        },
        async secondTab() {
            const tab = await open(`${site.origin}/${page}`);
            const other = await tab.context().newPage();
            await other.goto(`${site.origin}/preface.html`);
            await other.waitForSelector('.live-run');
            await runs(tab, '#live-saw-c');
            await other.waitForSelector('.live-progress:has-text("predicted 1 of")', { state: 'attached' });
            await closed(tab);
        },
        async printed() {
            const tab = await open(`${site.origin}/02-close-on-exec/index.html`);
            // The front page alone in its place: all pages on one take half a minute.
            await tab.route('**/print.html', (route) => route.fulfill({ path: `${folder}/preface.html` }));
            await tab.goto(`${site.origin}/print.html`);
            await tab.waitForLoadState('networkidle');
            assert.equal(await tab.locator('.live-run').count(), 0, 'a question on paper is no form');
            await tab.goto(`${site.origin}/03-nonblocking-pipes/broken-pipe.html`);
            await runs(tab, '.live-refused');
            await tab.emulateMedia({ media: 'print' });
            assert.equal(await tab.locator('.live-output').evaluate((box) => getComputedStyle(box).maxHeight), 'none', 'paper does not scroll');
            await closed(tab);
        },
        async highContrast() {
            const tab = await open(`${site.origin}/07-the-loop/stage-7.html`);
            await tab.emulateMedia({ forcedColors: 'active' });
            const [shape, canvas] = await tab.evaluate(() => {
                const probe = document.createElement('p');
                probe.style.backgroundColor = 'Canvas';
                document.body.append(probe);
                return [getComputedStyle(document.querySelector('svg.figure .process')).fill, getComputedStyle(probe).backgroundColor];
            });
            assert.equal(shape, canvas, 'a figure has the colors of the system, as its text has');
            await closed(tab);
        },
    };
}

/** Steps on the book of the local server. */
export function served({ open, closed, browser, server }) {
    return {
        async notFound() {
            const tab = await open('one/two/nothing.html');
            await tab.waitForSelector('html.live-book');
            assert((await tab.evaluate(() => document.styleSheets.length)) > 5, 'its styles are found');
            await closed(tab);
        },
        async strangeToken() {
            const tab = await open('preface.html');
            await tab.waitForSelector('html.live-book');
            // As an old bookmark has, or a link of any page.
            const link = await open('preface.html', { ...server, token: `#t=${'0'.repeat(32)}` });
            await link.waitForSelector('html.live-book .live-run');
            assert(!link.url().includes('t='), 'it is not in the address bar');
            await link.reload();
            await link.waitForSelector('html.live-book .live-run');
            assert.equal(await link.locator('.live-notice').textContent(), '', 'the token of the server is still known');
            for (const each of [tab, link]) await closed(each);
        },
        async saysItOnce() {
            const tab = await open('preface.html');
            await tab.waitForSelector('html.live-book .live-run');
            const times = await tab.evaluate(async () => {
                const said = [];
                const line = document.querySelector('.live-notice');
                const over = new Promise((done) => new MutationObserver(() => {
                    said.push(line.textContent);
                    if (line.textContent === 'over') done();
                }).observe(line, { childList: true }));
                const others = new BroadcastChannel('workbook-events');
                for (const message of ['gone', 'gone', 'gone', 'over']) {
                    others.postMessage({ kind: 'lost', message });
                    await new Promise((done) => setTimeout(done));
                }
                await over;
                return said.filter((words) => words === 'gone').length;
            });
            assert.equal(times, 1, 'a screen reader says each time what is written into the notice');
            await closed(tab);
        },
        async keepsNothing() {
            const context = await browser.newContext();
            // As in Chromium for a site that may keep nothing.
            await context.addInitScript(() => {
                const refuse = () => {
                    throw new DOMException('denied', 'SecurityError');
                };
                Object.defineProperty(globalThis, 'localStorage', { get: refuse });
                LockManager.prototype.request = async () => refuse();
                globalThis.BroadcastChannel = refuse;
            });
            const tab = await context.newPage();
            tab.errors = [];
            tab.on('pageerror', (error) => tab.errors.push(error.message));
            await tab.goto(`${server.origin}/10-http-on-the-loop/live-loop.html${server.token}`);
            await tab.click('button:text-is("Send a request")');
            await tab.waitForSelector('#live-loop tbody tr', { timeout: 10_000 });
            await tab.click('button:text-is("Pause")');
            assert.equal(await tab.getAttribute('button:text-is("Go on")', 'aria-pressed'), null, 'its name says what it does; pressed, it would say the contrary');
            await closed(tab);
            await context.close();
        },
    };
}
