// Every experiment on the Linux in the page, as a reader runs it: predict, press, wait for the verdict.
//
//     node machine.mjs SITE BROWSER [EXPERIMENT...]
//
// SITE is a book that `live --site` has built with the machine: a folder, which is served here, or a `file://` address, which the
// browser opens itself. BROWSER is the program of Chromium or Firefox. It prints a line for each experiment, then counts, times, and
// what was fetched over HTTP, and ends with 1 if an experiment disagrees with the book, ends without a verdict, or takes more bytes
// than it may. RUNS=10 runs each experiment ten times. A machine is fresh in each run. RATE=6 slows the page's own thread in
// Chromium, which cannot slow a worker so. For a slower machine, BROWSER may be a script that starts the browser in a control group
// with less of the processor's time.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { files } from './files.mjs';

const BYTES = 5e6; // that the first run may fetch
const PATIENCE = 150_000; // ms; the page gives an experiment 120 s

// The packages are below target/, not beside this file.
const puppeteer = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`))('puppeteer-core');
const [where, executablePath, ...wanted] = process.argv.slice(2);
const [rate, runs] = [Number(process.env.RATE ?? 1), Number(process.env.RUNS ?? 1)];
const firefox = executablePath.includes('firefox');
const opened = where.startsWith('file://');
const folder = opened ? fileURLToPath(where) : where;
const site = opened ? { origin: where, sent: [], close() {} } : await files(folder);
const browser = await puppeteer.launch({
    executablePath, protocolTimeout: 2 * PATIENCE,
    ...(firefox ? { browser: 'firefox' } : { args: ['--no-sandbox'] }),
});
const tab = await browser.newPage();
if (rate > 1) await tab.emulateCPUThrottling(rate);
// What keeps the page from answering its reader.
await tab.evaluateOnNewDocument(() => {
    globalThis.longTasks = [];
    if (PerformanceObserver.supportedEntryTypes?.includes('longtask')) {
        new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask', buffered: true });
        return;
    }
    // Firefox reports no long tasks: a message that the page sends to itself over and over waits for each task.
    const { port1, port2 } = new MessageChannel();
    let before = performance.now();
    port1.onmessage = () => {
        const now = performance.now();
        if (now - before > 50) longTasks.push(now - before);
        before = now;
        setTimeout(() => port2.postMessage(''), 5);
    };
    port2.postMessage('');
});

/** The page of each experiment that the machine has. */
async function pages() {
    await tab.goto(`${site.origin}/index.html`);
    const links = await tab.$$eval('.sidebar .chapter a[href]', (all) => all.filter((link) => !link.hash).map((link) => link.href));
    const { experiments } = JSON.parse(readFileSync(`${folder}/machine/machine.json`, 'utf8'));
    const found = Object.keys(experiments).map((name) => [name, links.find((link) => link.endsWith(`/${name}.html`))]);
    return found.filter(([name]) => !wanted.length || wanted.includes(name));
}

/** One run: { agrees, says, seconds, longest }, the time from the press to the question what the reader saw. */
async function run(address) {
    await tab.goto(address);
    await tab.waitForSelector('.predict .live-status');
    return tab.evaluate(async (patience) => {
        const button = document.querySelector('.live-run');
        const result = document.querySelector('.live-result');
        if (!button) return { says: document.querySelector('.predict .live-status').textContent, skipped: true };
        document.querySelector('#live-predict-none').click();
        longTasks.length = 0;
        const began = performance.now();
        button.click();
        const there = await new Promise((done) => {
            const look = () => {
                const found = result.querySelector('#live-saw-a, .live-verdict, .live-refused');
                if (found) done(found);
            };
            new MutationObserver(look).observe(result, { childList: true, subtree: true });
            setTimeout(() => done(null), patience);
        });
        const seconds = (performance.now() - began) / 1000;
        const longest = Math.max(0, ...longTasks);
        if (there?.id !== 'live-saw-a') return { says: there?.textContent ?? 'nothing', seconds, longest, skipped: there?.matches('.live-verdict') };
        there.click();
        result.querySelector('.live-choices button').click();
        const verdict = result.querySelector('.live-verdict');
        return { agrees: verdict.matches('.live-agrees'), says: result.innerText, seconds, longest };
    }, PATIENCE);
}

/** The memory of the browser's processes that show pages, in bytes, as far as each has it for itself. 0: unknown. */
async function memory() {
    if (firefox || !existsSync('/proc/self/smaps_rollup')) return 0;
    const session = await browser.target().createCDPSession();
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    const sizes = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => {
        const kilobytes = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, 'utf8'))?.[1];
        return Number(kilobytes) * 1024;
    });
    return Math.max(...sizes);
}

const middle = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const began = performance.now();
const counts = { agrees: 0, skipped: 0, differs: 0 };
const [times, sizes] = [[], []];
let [first, longest] = [null, { task: 0 }];
for (const [name, address] of await pages()) {
    for (let n = 0; n < runs; n++) {
        const before = site.sent.length;
        const timer = setTimeout(async () => sizes.push(await memory().catch(() => 0)), 700);
        const { agrees, skipped, says, seconds, longest: task } = await run(address);
        clearTimeout(timer);
        const verdict = skipped ? 'skipped' : agrees ? 'agrees' : 'differs';
        counts[verdict]++;
        if (seconds) {
            times.push(seconds);
            if (task > longest.task) longest = { name, task };
            const bytes = site.sent.slice(before).filter(({ path }) => path.startsWith('/machine/')).reduce((sum, { size }) => sum + size, 0);
            first ??= { name, seconds, bytes };
        }
        console.log(`${name}: ${verdict}${seconds ? `, ${seconds.toFixed(2)} s` : ''}${task > 0 ? `, a task of ${task.toFixed(0)} ms on the main thread` : ''}${verdict === 'agrees' ? '' : `\n  ${says.replaceAll('\n', '\n  ')}`}`);
    }
}
const [seconds, most] = [first?.seconds.toFixed(2), times.length ? Math.max(...times.slice(1)).toFixed(2) : ''];
console.log(`${await browser.version()}${rate > 1 ? `, its page ${rate} times slower` : ''}: ${JSON.stringify(counts)} in ${((performance.now() - began) / 1000).toFixed(0)} s`);
console.log(`press to verdict: the first time ${seconds} s and ${(first?.bytes / 1e6).toFixed(2)} MB (${first?.name}); again ${middle(times.slice(1))?.toFixed(2)} s (the median), at most ${most} s`);
const size = Math.max(0, ...sizes);
console.log(`the longest task on the main thread: ${longest.task ? `${longest.task.toFixed(0)} ms (${longest.name})` : 'none over 50 ms'}${size ? `; memory of the tab while it runs: ${(size / 1e6).toFixed(0)} MB` : ''}`);
await browser.close();
site.close();
process.exitCode = counts.differs || first?.bytes > BYTES ? 1 : 0;
