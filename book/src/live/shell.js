// A terminal on the Linux in this page: a log, and a line to type in.
//
// Not an emulator of a terminal, which draws into a canvas: a log can be read by a screen reader, selected, and scrolled on a
// phone. What programs print to move a cursor or to choose colors is left out.

import { bringFocus, element, passFocus, plain } from './dom.js';
import { refusal } from './local.js';

const KEPT = 100_000; // characters of the log

/** Makes the page's element `live-shell` into a terminal. Nothing is loaded before the reader starts it. */
export function shell(backend) {
    const log = element('pre', { class: 'live-output live-log', role: 'log', 'aria-label': 'Terminal', tabindex: '0', hidden: true });
    const line = element('input', {
        type: 'text', id: 'live-command', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', enterkeyhint: 'send',
    });
    const status = element('p', { class: 'live-status', role: 'status' }, `The shell will run on ${backend.kernel}.`);
    const startButton = element('button', { type: 'button', class: 'live-run' }, backend.offerShell);
    const stopButton = element('button', { type: 'button', hidden: true }, 'Stop the machine');
    const interrupt = element('button', { type: 'button' }, 'Ctrl-C');
    const eof = element('button', { type: 'button' }, 'Ctrl-D');
    const form = element('form', { class: 'live-command', hidden: true },
        element('label', { for: 'live-command' }, 'Command'), line,
        element('button', { type: 'submit' }, 'Send'), interrupt, eof);
    const history = [];
    let at = 0;
    let machine = null;
    let running = null;
    let starting = null; // until the machine runs, or cannot

    const show = (text) => {
        const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        log.append(plain(text.replaceAll('\r', '')));
        if (log.textContent.length > KEPT) log.textContent = log.textContent.slice(-KEPT / 2);
        if (follows) log.scrollTop = log.scrollHeight;
    };
    const send = (text) => {
        if (text.trim()) history.push(text);
        at = history.length;
        machine.type(`${text}\n`);
    };
    const start = async () => {
        running = new AbortController();
        stopButton.hidden = false;
        passFocus(startButton, stopButton);
        startButton.hidden = true;
        status.textContent = 'Loading …';
        log.textContent = '';
        try {
            machine = await backend.shell(show, running.signal);
            log.hidden = form.hidden = false;
            status.textContent = `This is ${backend.kernel}. Type a command.`;
            bringFocus(document.querySelector('main') ?? document.body, line);
            machine.ended.then(() => stop('The shell has exited, and its machine is gone.'), fail);
        } catch (error) {
            fail(error);
        }
    };
    const fail = (error) => {
        if (error.name === 'AbortError') return;
        stop('');
        status.replaceChildren(refusal(error));
    };
    const stop = (text) => {
        running.abort();
        startButton.hidden = false;
        for (const from of [stopButton, ...form.elements]) passFocus(from, startButton);
        form.hidden = stopButton.hidden = true;
        startButton.textContent = 'Start a new machine';
        status.textContent = text;
    };
    startButton.addEventListener('click', () => (starting = start()));
    stopButton.addEventListener('click', () => stop('The machine is gone, with all that was in it.'));
    interrupt.addEventListener('click', () => machine.type('\x03'));
    eof.addEventListener('click', () => machine.type('\x04'));
    form.addEventListener('submit', (event) => {
        event.preventDefault();
        send(line.value);
        line.value = '';
    });
    line.addEventListener('keydown', (event) => {
        if (event.ctrlKey && event.key === 'c' && line.selectionStart === line.selectionEnd) machine.type('\x03');
        else if (event.ctrlKey && event.key === 'd') machine.type('\x04');
        else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
            at = Math.max(0, Math.min(history.length, at + (event.key === 'ArrowUp' ? -1 : 1)));
            line.value = history[at] ?? '';
        } else return;
        event.preventDefault();
    });
    // A command on this page that can be tried has a button beside it, which types it.
    for (const code of document.querySelectorAll('.content .live-try pre > code')) {
        // Beside the code, mdBook has a button in the block, which says whether the code was copied.
        code.parentNode.after(element('div', { class: 'live-buttons' }, element('button', {
            type: 'button',
            onclick: async () => {
                if (!startButton.hidden) starting = start();
                await starting;
                if (!form.hidden) send(code.textContent.trim());
                log.scrollIntoView({ block: 'nearest' });
            },
        }, 'Try it')));
    }
    document.getElementById('live-shell').replaceChildren(
        element('div', { class: 'live-buttons' }, startButton, stopButton, status), log, form);
}
