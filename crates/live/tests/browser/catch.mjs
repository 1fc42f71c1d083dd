// Every wrong answer that a page asks about, on the Linux in the page, as a reader who always knows the answer.
//
//     node catch.mjs SITE BROWSER [EXERCISE...]
//
// SITE is a book that `live --site` has built with the machine, BROWSER the program of Chromium or Firefox. It prints a line for each
// wrong answer, with the time from the press to the verdict, and ends with 1 if a test does not fail as the page says.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { files } from './files.mjs';

const PATIENCE = 150_000; // ms

// The packages are below target/, not beside this file.
const puppeteer = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`))('puppeteer-core');
const [folder, executablePath, ...wanted] = process.argv.slice(2);
const site = await files(folder);
const browser = await puppeteer.launch({
    executablePath, protocolTimeout: 2 * PATIENCE,
    ...(executablePath.includes('firefox') ? { browser: 'firefox' } : { args: ['--no-sandbox'] }),
});
const tab = await browser.newPage();

/** The page of each exercise that something is asked about. */
async function pages() {
    await tab.goto(`${site.origin}/`);
    const links = await tab.$$eval('.sidebar .chapter a[href]', (all) => all.filter((link) => !link.hash).map((link) => link.href));
    const { exercises } = JSON.parse(readFileSync(`${folder}/machine/machine.json`, 'utf8'));
    const found = [];
    for (const [name, { file }] of Object.entries(exercises)) {
        if (wanted.length && !wanted.includes(name)) continue;
        // Several crates have an exercise of one name; its own page is that on which its questions appear.
        const ends = `/exercise-${name.split('/').pop()}.html`;
        found.push({ name, addresses: links.filter((link) => link.endsWith(ends)), ...asked(file) });
    }
    return found;
}

const asked = (file) => JSON.parse(readFileSync(`${folder}/machine/wrong-answers/${file}.json`, 'utf8'));

/** Answers the question that is shown: { right, says, seconds }. */
const answer = (fails) => tab.evaluate(async (fails, patience) => {
    const section = document.querySelector('section[aria-label="Catch the mistake"]');
    section.querySelector(`#live-catch-${fails}`).click();
    const began = performance.now();
    section.querySelector('.live-run').click();
    const result = section.querySelector('.live-result');
    const there = await new Promise((done) => {
        const look = () => {
            const found = result.querySelector('.live-verdict, .live-refused');
            if (found) done(found);
        };
        new MutationObserver(look).observe(result, { childList: true, subtree: true });
        setTimeout(() => done(null), patience);
    });
    const failing = [...result.querySelectorAll('.live-tests li')].filter((test) => test.textContent.startsWith('✗'));
    return {
        right: there?.matches('.live-agrees') && failing.length === 1,
        says: result.innerText,
        seconds: (performance.now() - began) / 1000,
    };
}, fails, PATIENCE);

const SHOW = 'section[aria-label="Catch the mistake"] button:not(.live-run):not([hidden])';
const times = [];
let wrong = 0;
for (const { name, addresses, questions } of await pages()) {
    let shown = false;
    for (const address of addresses) {
        await tab.goto(address);
        await tab.waitForSelector('.live-book');
        const own = await tab.$eval('.content', (content, name) => content.textContent.includes(`check ${name}`), name)
            || addresses.length === 1;
        if (!own) continue;
        await tab.waitForSelector(SHOW);
        shown = true;
        for (const [index, question] of questions.entries()) {
            await (await tab.waitForSelector(SHOW)).click();
            await tab.waitForSelector(`#live-catch-${question.fails}`);
            const { right, says, seconds } = await answer(question.fails);
            if (!right) wrong++;
            times.push(seconds);
            console.log(`${name} ${index + 1} of ${questions.length}: ${right ? 'caught' : 'DIFFERS'}, ${seconds.toFixed(2)} s${right ? '' : `\n  ${says.replaceAll('\n', '\n  ')}`}`);
        }
        break;
    }
    if (!shown) {
        wrong++;
        console.log(`${name}: no page asks about it`);
    }
}
const sorted = times.toSorted((a, b) => a - b);
console.log(`${await browser.version()}: ${times.length} wrong answers, of which ${wrong} fail otherwise than their page says; `
    + `press to verdict: ${sorted[sorted.length >> 1]?.toFixed(2)} s (the median), at most ${sorted.at(-1)?.toFixed(2)} s`);
await browser.close();
site.close();
process.exitCode = wrong || !times.length ? 1 : 0;
