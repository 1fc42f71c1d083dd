// axe-core on every page: https://github.com/dequelabs/axe-core. Which color a text has depends on the theme, and nothing else
// does; so the dark theme is asked about contrast only.

import assert from 'node:assert/strict';

/** How many pages are looked at at the same time. */
const TABS = 2;

/** Every how many-th page is looked at in the dark theme, too, unless all are. */
const SAMPLE = 10;

/**
 * Looks at these pages as a phone shows them, with what is folded unfolded.
 * @param {import('playwright-core').Browser} browser
 * @param {string} axe the source of axe-core
 * @param {(page: string) => string} address
 * @param {string[]} pages
 * @param {boolean} everyTheme
 * @returns {Promise<string[]>} what is wrong
 */
export async function violations(browser, axe, address, pages, everyTheme) {
    const found = [];
    const left = [...pages.entries()];
    const look = async () => {
        // A context each: the tabs of one context have the same theme.
        const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
        const tab = await context.newPage();
        for (let next; (next = left.shift()); ) {
            const [index, page] = next;
            await tab.goto(address(page));
            await tab.waitForSelector('html.live-book', { state: 'attached' });
            const wrong = await audit(tab, axe, everyTheme || index % SAMPLE === 0);
            found.push(...wrong.map((one) => `${page}, ${one}`));
        }
        await context.close();
    };
    await Promise.all(Array.from({ length: TABS }, look));
    assert.equal(left.length, 0, 'every page was looked at');
    return found;
}

/** Looks at one page, as it is now but for what is folded. */
export async function audit(tab, axe, dark = true) {
    // Evaluated by the debugger, because the pages' policy forbids scripts that are not the server's.
    await tab.evaluate(axe);
    await tab.evaluate(() => document.querySelectorAll('details').forEach((details) => (details.open = true)));
    await theme(tab, 'light');
    const found = (await ask(tab, {})).map((wrong) => `light: ${wrong}`);
    if (!dark) return found;
    await theme(tab, 'navy');
    const contrast = await ask(tab, { runOnly: ['color-contrast', 'link-in-text-block'] });
    return [...found, ...contrast.map((wrong) => `navy: ${wrong}`)];
}

/** Chooses a theme as a reader does, so that mdBook exchanges the colors of code, too. */
async function theme(tab, name) {
    await tab.evaluate((id) => document.getElementById(id).click(), `mdbook-theme-${name}`);
    await tab.waitForSelector(`html.${name}`, { state: 'attached' });
}

const ask = (tab, options) => tab.evaluate(async (asked) => {
    const { violations } = await globalThis.axe.run('.content', { resultTypes: ['violations'], ...asked });
    return violations.map(({ id, nodes }) => `${id}, ${nodes.length} times: ${nodes[0].html}`);
}, options);
