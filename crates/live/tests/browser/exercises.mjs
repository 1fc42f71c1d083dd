// What a reader does with an exercise in its page: checks it there, in a terminal, and while the page is hidden. These are steps
// of book.mjs. Files are changed in the copy of the checkout.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

const PAGE = '02-close-on-exec/exercise-flags.html';
const FILE = 'crates/cloexec/exercises/flags.rs';
const UNJUDGED = '.live-state:has-text("no check has judged your file as it is now")';
const DONE = '.live-state:has-text("✓ Done")';

/**
 * @param {object} book `open(path)` opens a page, `closed(tab)` closes it, `save(path, text)` and `read(path)` are about the
 *     copy, which is in the folder `copy`, and `tool` is the reader's tool.
 */
export function exercises({ open, closed, save, read, tool, copy }) {
    const starter = () => read('crates/cloexec/starters/flags.rs');
    const answer = () => read('crates/cloexec/src/flags.rs');
    /** Another text, so that no verdict is known. */
    const another = (text) => `${text}// ${performance.now()}\n`;
    const check = async (tab) => {
        await tab.click('.live-exercise button:has-text("Check")');
        await tab.waitForSelector('.live-exercise .live-result > *', { timeout: 300_000 });
        return tab.locator('.live-result').textContent();
    };
    /** Lets the tab be hidden, or shown again. A browser without a screen hides none. */
    const hide = (tab, hidden) => tab.evaluate((is) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });
        document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    const until = async (holds) => {
        while (!await holds()) await new Promise((done) => setTimeout(done, 100));
    };
    return {
        async checks() {
            save(FILE, another(starter()));
            const tab = await open(PAGE);
            const state = tab.locator('.live-state');
            await tab.waitForSelector('.live-state:has-text("Not done yet")');
            assert.match(await check(tab), /The first test that fails: /);
            assert.equal(await state.textContent(), 'Not done yet.');
            // Where cargo cannot build, the check has no result.
            const settings = '.cargo/config.toml';
            const before = read(settings);
            save(settings, 'no configuration');
            assert.match(await check(tab), /cargo cannot build here/, 'the page shows what the tool says');
            assert.match(await state.textContent(), /The check ended without a result/);
            save(settings, before);
            // Our answer, as if it were the reader's.
            save(FILE, another(answer()));
            await tab.waitForSelector(UNJUDGED);
            assert.match(await check(tab), /^\d+ tests pass\./);
            assert.match(await state.textContent(), /✓ Done/);
            await tab.waitForSelector('.sidebar .live-progress:has-text("✓ done")', { state: 'attached' });
            await closed(tab);
        },
        async checksInATerminal() {
            save(FILE, another(answer()));
            const tab = await open(PAGE);
            await tab.waitForSelector(UNJUDGED);
            const terminal = (text) => {
                save(FILE, text);
                return spawnSync(tool, ['check', 'cloexec/flags'], { cwd: copy }).status;
            };
            assert.equal(terminal(another(answer())), 0);
            await tab.waitForSelector(DONE);
            assert.equal(terminal(another(starter())), 1);
            await tab.waitForSelector('.live-state:text-is("Not done yet.")');
            await closed(tab);
        },
        async savesWhileItIsChecked() {
            save(FILE, another(answer()));
            const tab = await open(PAGE);
            await tab.waitForSelector(UNJUDGED);
            await tab.click('.live-exercise button:has-text("Check")');
            const stop = tab.locator('.live-exercise button:text-is("Stop")');
            await stop.waitFor();
            // The server says so, too, but perhaps only after the check.
            await tab.evaluate(() => new BroadcastChannel('workbook-events').postMessage({ kind: 'saved', exercise: 'cloexec/flags' }));
            // Until the end, because the tool takes the text that it judges some time after the click.
            while (await stop.isVisible()) {
                save(FILE, another(starter()));
                await tab.waitForTimeout(20);
            }
            await tab.waitForSelector('.live-result:has-text("You saved your file after this check had begun")');
            await tab.waitForSelector(UNJUDGED);
            await closed(tab);
        },
        async savesWhileNoTabIsVisible() {
            save(FILE, another(answer()));
            const tab = await open(PAGE);
            assert.match(await check(tab), /^\d+ tests pass\./);
            await tab.waitForSelector(DONE);
            await hide(tab, true);
            save(FILE, another(starter()));
            // The server knows, and would say so.
            await until(() => tab.evaluate(async () => {
                const token = localStorage.getItem('workbook-token');
                const progress = await (await fetch('/api/progress', { headers: { 'X-Workbook-Token': token } })).json();
                return progress.exercises['cloexec/flags'].passes === null;
            }));
            assert.equal(await tab.locator(DONE).count(), 1, 'a hidden page hears nothing');
            await hide(tab, false);
            await tab.waitForSelector(UNJUDGED);
            // The page itself changes.
            await hide(tab, true);
            const sentence = `Edited at ${performance.now()}.`;
            const source = `book/src/${PAGE.replace('.html', '.md')}`;
            save(source, `${read(source)}\n${sentence}\n`);
            await until(async () => (await (await tab.request.get(tab.url())).text()).includes(sentence));
            assert.equal(await tab.locator(`.content :text("${sentence}")`).count(), 0, 'a hidden page hears nothing');
            await hide(tab, false);
            await tab.waitForSelector(`.content :text("${sentence}")`);
            // Hidden and shown so quickly that the old stream has not ended yet.
            assert.equal(spawnSync(tool, ['check', 'cloexec/flags'], { cwd: copy }).status, 1);
            await tab.waitForSelector('.live-state:text-is("Not done yet.")');
            await tab.evaluate(() => {
                for (const is of [true, false]) {
                    Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });
                    document.dispatchEvent(new Event('visibilitychange'));
                }
            });
            save(FILE, another(answer()));
            await tab.waitForSelector(UNJUDGED);
            await closed(tab);
        },
    };
}
