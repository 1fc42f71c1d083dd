// An exercise in its page: whether it is done, and a button that runs its tests on the reader's file.

import { catchTheMistake } from './catch.js';
import { element, page, plain } from './dom.js';
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
    const say = ({ done, stale }) => {
        state.textContent = done ? '✓ Done: your answer passes its tests.'
            : stale ? 'Your file has changed since the last check.' : 'Not done yet.';
    };
    say(progress.exercises[name]);
    let running = null;
    button.addEventListener('click', async () => {
        running = new AbortController();
        const output = [];
        let [result, end] = [null, null];
        button.disabled = true;
        stop.hidden = false;
        state.textContent = 'Compiling …';
        place.replaceChildren();
        try {
            for await (const event of backend.check(name, running.signal)) {
                if (event.kind === 'progress') state.textContent = plain(event.text);
                else if (event.kind === 'output') output.push(event.text);
                else if (event.kind === 'result') result = event;
                else if (event.kind === 'end') end = event;
            }
            if (result) say({ done: result.passed });
            else state.textContent = end?.cut ? 'The check was stopped: it ran too long, or printed too much.'
                : 'The check ended without a result.';
            place.replaceChildren(...report(result ?? { error: output.join('\n') }));
            document.dispatchEvent(new CustomEvent('workbook:progress'));
        } catch (error) {
            state.textContent = error.name === 'AbortError' ? 'Stopped.' : '';
            if (error.name !== 'AbortError') place.replaceChildren(refusal(error));
        } finally {
            button.disabled = false;
            stop.hidden = true;
        }
    });
    stop.addEventListener('click', () => running?.abort());
    heading.after(element('section', { class: 'live live-exercise', 'aria-label': 'This exercise on your machine' },
        state, element('div', { class: 'live-buttons' }, button, stop), place));
    // A save in the editor: what the page says of the file is no longer true.
    return { name, changed: () => running?.signal.aborted === false && button.disabled || say({ stale: true }) };
}

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
