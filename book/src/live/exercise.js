// An exercise in its page: whether it is done, and a button that runs its tests on the reader's file.

import { catchTheMistake } from './catch.js';
import { element, page, passFocus, plain } from './dom.js';
import { refusal } from './local.js';

/** The exercise of this page, as the commands on it name it: `check cloexec/flags`, or `check capture`. */
function named(exercises) {
    if (!/\/exercise-[^/]+$/.test(page)) return undefined;
    for (const code of document.querySelectorAll('.content code')) {
        const asked = /(?:workbook|just) check ([a-z_]+(?:\/[a-z0-9_]+)?)/.exec(code.textContent)?.[1];
        const name = asked && Object.keys(exercises).find((name) => name === asked || name.endsWith(`/${asked}`));
        if (name) return name;
    }
    return undefined;
}

export function exercise(backend, progress) {
    const name = named(progress.exercises ?? backend.wrongAnswers ?? {});
    const heading = document.querySelector('.content h1');
    if (name) catchTheMistake(backend, name);
    if (!name || !heading || !backend.check) return undefined;
    const state = element('p', { class: 'live-state', role: 'status' });
    const button = element('button', { type: 'button' }, `Check ${name}`);
    const stop = element('button', { type: 'button', hidden: true }, 'Stop');
    const place = element('div', { class: 'live-result' });
    const older = element('p', { class: 'live-status' },
        'You saved your file after this check had begun, so the check may have judged the text before. Check it again.');
    let known; // what the page says about the file
    let running = null;
    let saved = false; // since the check began
    const say = (now) => {
        known = now;
        state.textContent = now.done ? '✓ Done: your answer passes its tests.'
            : now.passes === false ? 'Not done yet.' : 'Not done yet: no check has judged your file as it is now.';
    };
    say(progress.exercises[name]);
    button.addEventListener('click', async ({ detail: clicks }) => {
        running = new AbortController();
        saved = false;
        const output = [];
        let [result, end] = [null, null];
        stop.hidden = false;
        if (!clicks) passFocus(button, stop); // a key was pressed
        button.disabled = true;
        state.textContent = 'Compiling …';
        place.replaceChildren();
        try {
            for await (const event of backend.check(name, running.signal)) {
                if (event.kind === 'progress') state.textContent = plain(event.text);
                else if (event.kind === 'output') output.push(event.text);
                else if (event.kind === 'result') result = event;
                else if (event.kind === 'end') end = event;
            }
            if (result) say(saved ? UNJUDGED : { done: result.passed, passes: result.passed });
            else state.textContent = end?.why ? `The check has no result. ${end.why}` : 'The check ended without a result.';
            place.replaceChildren(...(result && saved ? [older] : []), ...report(result ?? { error: output.join('\n') }));
        } catch (error) {
            say(known);
            if (error.name === 'AbortError') state.textContent = 'Stopped.';
            else place.replaceChildren(refusal(error));
        } finally {
            running = null;
            button.disabled = false;
            passFocus(stop, button);
            stop.hidden = true;
        }
    });
    stop.addEventListener('click', () => running?.abort());
    heading.after(element('section', { class: 'live live-exercise', 'aria-label': 'This exercise on your machine' },
        state, element('div', { class: 'live-buttons' }, button, stop), place));
    /** The server says what is known of the file now, whoever has checked it: a terminal, another tab. */
    const update = (now) => {
        const isNews = now.done !== known.done || now.passes !== known.passes;
        known = now;
        if (typeof now.passes === 'boolean') older.remove();
        if (isNews && !running) say(now);
    };
    return { name, update, saved: () => (saved = true, update(UNJUDGED)) };
}

/** A file that was saved and not checked since. */
const UNJUDGED = { done: false, passes: null };

function report({ passed, tests = 0, first, skipped = [], error }) {
    const parts = [];
    if (passed) parts.push(element('p', {}, `${Array.isArray(tests) ? tests.length : tests} tests pass.`));
    if (first) {
        parts.push(element('p', {}, 'The first test that fails: ', element('code', {}, first.test)),
            element('pre', { class: 'live-output', tabindex: '0' }, plain(first.message ?? '')));
    }
    if (error) parts.push(element('pre', { class: 'live-output', tabindex: '0' }, plain(error)));
    if (skipped.length) {
        parts.push(element('p', {}, 'Not asked on this machine:'),
            element('ul', {}, ...skipped.map(({ test, reason }) => element('li', {}, element('code', {}, test), `: ${plain(reason)}`))));
    }
    return parts;
}
