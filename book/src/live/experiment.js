// An experiment in its page: predict, run, say what you saw, and only then read the verdict.
//
// Predicting first is not decoration. Who only watches a demonstration understands hardly more than who has not seen it,
// so *Run* waits for a choice, or for "I have no idea".

import { choices } from './choices.js';
import { bringFocus, element, page, passFocus, plain } from './dom.js';
import { refusal } from './local.js';
import { prediction, remember } from './memory.js';
import { Timeline } from './timeline.js';

const NO_IDEA = 'none';

/** Makes the page's question into a form, if the page has one that this backend can ask. */
export function experiment(backend, progress) {
    const box = document.querySelector('.content .predict');
    const list = box?.querySelector('ul');
    // A page has the name of its experiment; one that only borrows the question says whose it is.
    const name = box?.dataset.experiment ?? page.split('/').pop();
    const known = progress.experiments?.[name];
    if (!list || !known) return;
    if (known.asked === false) box.append(element('p', { class: 'live-status' }, `${capital(backend.kernel)} cannot be asked: ${plain(known.why.replace(/^This cannot be asked here: /, ''))}.`));
    else new Experiment(backend, name, box, list, progress).show();
}

class Experiment {
    constructor(backend, name, box, list, progress) {
        Object.assign(this, { backend, name, box, list, progress, before: prediction(progress, name) });
        this.nodes = [...list.querySelectorAll(':scope > li')].map((item) => [...item.cloneNode(true).childNodes]);
    }

    show() {
        this.choices = this.question('predict', 'Your prediction', true);
        this.runButton = element('button', { type: 'button', class: 'live-run', disabled: true, onclick: ({ detail }) => this.run(detail) }, this.backend.offer ?? 'Run');
        this.stopButton = element('button', { type: 'button', hidden: true, onclick: () => this.abort?.abort() }, 'Stop');
        this.status = element('p', { class: 'live-status', role: 'status' }, 'Choose first: then you can run it.');
        this.result = element('div', { class: 'live-result' });
        this.choices.addEventListener('change', () => this.chosen());
        this.list.replaceWith(this.choices);
        this.box.append(element('div', { class: 'live-buttons' }, this.runButton, this.stopButton, this.status), this.result);
        this.box.classList.add('live');
        if (this.before) {
            const input = this.choices.querySelector(`input[value="${this.before}"]`);
            if (!input) return; // of a question that had more choices
            input.checked = true;
            this.chosen();
            this.status.textContent = `You predicted this before. It runs on ${this.backend.kernel}.`;
        }
    }

    /** The choices as radio buttons, with one more for a reader who has no idea. */
    question(use, legend, withNoIdea) {
        const options = this.nodes.map((nodes, index) => [letter(index), nodes.map((node) => node.cloneNode(true))]);
        if (withNoIdea) options.push([NO_IDEA, ['I have no idea.']]);
        return choices(use, legend, options);
    }

    chosen() {
        this.prediction = this.choices.querySelector('input:checked')?.value;
        this.runButton.disabled = !this.prediction;
        this.status.textContent = `It runs on ${this.backend.kernel}.`;
    }

    /** @param {number} clicks none: a key was pressed */
    async run(clicks) {
        this.abort = new AbortController();
        this.stopButton.hidden = false;
        if (!clicks) passFocus(this.runButton, this.stopButton);
        this.runButton.disabled = true;
        this.choices.disabled = true;
        this.status.textContent = 'Running …';
        const timeline = new Timeline();
        const output = element('pre', { class: 'live-output', hidden: true, tabindex: '0' });
        this.result.replaceChildren(timeline.list, output);
        let verdict = null;
        let end = null;
        try {
            for await (const event of this.backend.run(this.name, this.prediction, this.abort.signal)) {
                if (event.kind === 'note') timeline.add(event);
                else if (event.kind === 'output') {
                    output.hidden = false;
                    output.append(`${plain(event.text)}\n`);
                } else if (event.kind === 'progress') this.status.textContent = plain(event.text);
                else if (event.kind === 'verdict') verdict = event;
                else if (event.kind === 'end') end = event;
            }
            remember(this.progress, this.name, this.prediction);
            document.dispatchEvent(new CustomEvent('workbook:progress'));
            this.ended(verdict, end);
        } catch (error) {
            const stopped = error.name === 'AbortError';
            this.status.textContent = stopped ? 'Stopped.' : '';
            if (!stopped) this.result.append(refusal(error));
        } finally {
            this.runButton.disabled = false;
            passFocus(this.stopButton, this.runButton);
            this.stopButton.hidden = true;
            this.runButton.textContent = 'Run again';
            this.choices.disabled = false;
        }
    }

    /** Asks what the reader saw, before the verdict says what there was to see. */
    ended(verdict, end) {
        this.status.textContent = '';
        if (!verdict) {
            this.result.append(element('p', { class: 'live-refused', role: 'alert' },
                ['The experiment ended without a verdict.', end?.why].filter(Boolean).join(' ')));
            return;
        }
        if (verdict.skipped) {
            this.result.append(element('p', { class: 'live-verdict' },
                `Skipped: this machine could not be asked. ${plain(verdict.skipped)}`));
            return;
        }
        if (!verdict.answer) {
            this.result.append(element('p', { class: 'live-refused', role: 'alert' },
                `The experiment ended without an answer. ${capital(plain(verdict.reason))}.`));
            return;
        }
        const saw = this.question('saw', 'What did you see? Read the timeline, then choose.', false);
        // A button of its own, because the arrow keys of a keyboard choose on their way to the choice that is meant.
        const show = element('button', { type: 'button', disabled: true }, 'Show the verdict');
        saw.append(element('div', { class: 'live-buttons' }, show));
        saw.addEventListener('change', () => (show.disabled = false));
        show.addEventListener('click', () =>
            saw.replaceWith(this.verdict(verdict, saw.querySelector('input:checked').value)));
        this.result.append(saw);
        bringFocus(this.box, saw.querySelector('input'));
    }

    /** The answer, the reader's two choices beside it, and why a wrong one is wrong. */
    verdict(verdict, seen) {
        const answer = verdict.answer;
        const agrees = verdict.agrees;
        const about = (choice, verb) => choice === NO_IDEA ? `You had no idea; now you have one.`
            : choice === answer ? `You ${verb} ${choice}: right.` : `You ${verb} ${choice}.`;
        const why = (choice) => verdict.why_not?.[choice];
        const wrong = [...new Set([this.prediction, seen])].filter((choice) => choice !== answer && why(choice));
        const box = element('div', { class: `live-verdict ${agrees ? 'live-agrees' : 'live-disagrees'}`, tabindex: '-1' },
            element('p', {}, element('strong', {}, `The answer is ${answer}. `),
                agrees ? `${capital(this.backend.kernel)} agrees with the book.`
                    : `${capital(this.backend.kernel)} does not agree with the book, whose answer is ${verdict.book}.`),
            element('p', {}, about(this.prediction, 'predicted'), ' ', about(seen, 'saw')),
            ...wrong.map((choice) => element('p', {}, element('strong', {}, `Why not ${choice}? `), plain(why(choice)))),
            verdict.facts?.length ? element('ul', { class: 'live-facts' }, ...verdict.facts.map((fact) =>
                element('li', {}, fact.holds ? '✓ ' : '✗ ', plain(fact.text)))) : null,
            verdict.text ? element('p', {}, plain(verdict.text)) : null,
            this.beside());
        queueMicrotask(() => box.focus({ preventScroll: true }));
        return box;
    }

    /** A button that opens the recorded transcript, to compare. */
    beside() {
        const recorded = [...document.querySelectorAll('.content details')]
            .find((details) => details.querySelector('code.language-text'));
        if (!recorded) return null;
        return element('p', {}, element('button', {
            type: 'button',
            onclick: () => {
                recorded.open = true;
                recorded.querySelector('summary').focus();
                recorded.scrollIntoView({ block: 'start' });
            },
        }, 'Compare with the recorded transcript'));
    }
}

const letter = (index) => String.fromCharCode(97 + index);
const capital = (text) => text[0].toUpperCase() + text.slice(1);
