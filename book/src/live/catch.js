// Catch the mistake: the page shows a wrong answer to its exercise, the reader says which test fails, and then the tests run.

import { choices } from './choices.js';
import { bringFocus, element, passFocus, plain } from './dom.js';
import { refusal } from './local.js';

/** Puts the questions above the list of wrong answers, if this backend can run some of this exercise. */
export function catchTheMistake(backend, name) {
    const list = document.querySelector('.content details.wrong-answers');
    const asked = backend.wrongAnswers?.[name]?.asked;
    if (list && asked) new Catch(backend, name, asked).show(list);
}

class Catch {
    constructor(backend, name, asked) {
        Object.assign(this, { backend, name, asked, at: 0 });
    }

    show(list) {
        this.button = element('button', { type: 'button', onclick: () => this.begin() }, 'Show the first one');
        this.place = element('div', {});
        this.section = element('section', { class: 'live live-exercise', 'aria-label': 'Catch the mistake' },
            element('p', {}, element('strong', {}, 'Catch the mistake. '),
                `Here are ${this.asked} wrong answers, one after the other. Which test fails, and what does it say? `
                + 'You choose, and then the tests run. What you are shown has lines of our answer in it, so write yours first.'),
            element('div', { class: 'live-buttons' }, this.button), this.place);
        list.before(this.section);
    }

    async begin() {
        this.button.disabled = true;
        try {
            this.questions = (await this.backend.questions(this.name)).questions;
            this.button.parentNode.remove();
            this.ask();
        } catch (error) {
            this.place.replaceChildren(refusal(error));
            this.button.disabled = false;
            bringFocus(this.section, this.button);
        }
    }

    ask() {
        const question = this.questions[this.at];
        this.choices = choices('catch', 'Which test fails, and what does it say?', question.choices.map(({ test, says }) =>
            [test, [element('code', {}, test), element('span', { class: 'live-says' }, `“… ${says} …”`)]]));
        this.choices.addEventListener('change', () => (this.runButton.disabled = false));
        this.runButton = element('button', { type: 'button', class: 'live-run', disabled: true, onclick: ({ detail }) => this.run(question, detail) },
            this.backend.offerTests(this.name));
        this.stopButton = element('button', { type: 'button', hidden: true, onclick: () => this.abort?.abort() }, 'Stop');
        this.status = element('p', { class: 'live-status', role: 'status' });
        this.result = element('div', { class: 'live-result' });
        const heading = element('p', { tabindex: '-1' }, `Wrong answer ${this.at + 1} of ${this.questions.length}:`);
        this.place.replaceChildren(heading, difference(question.diff), this.choices,
            element('div', { class: 'live-buttons' }, this.runButton, this.stopButton, this.status), this.result);
        bringFocus(this.section, heading);
    }

    /** @param {number} clicks none: a key was pressed */
    async run(question, clicks) {
        this.abort = new AbortController();
        this.stopButton.hidden = false;
        if (!clicks) passFocus(this.runButton, this.stopButton);
        this.runButton.disabled = true;
        this.choices.disabled = true;
        const chosen = this.choices.querySelector('input:checked').value;
        const rows = new Map();
        this.result.replaceChildren(element('ul', { class: 'live-tests' }));
        try {
            for await (const event of this.backend.prove(this.name, question, this.abort.signal)) {
                if (event.kind === 'progress') this.status.textContent = plain(event.text);
                else if (event.kind === 'test') {
                    rows.set(event.test, event.said);
                    this.result.firstChild.append(row(event));
                }
            }
            this.status.textContent = '';
            if (rows.size < question.choices.length) throw new Error('The tests ended before all of them had run.');
            this.verdict(question, chosen, rows);
        } catch (error) {
            const stopped = error.name === 'AbortError';
            this.status.textContent = stopped ? 'Stopped.' : '';
            if (!stopped) this.result.append(refusal(error));
            this.choices.disabled = false;
            this.runButton.disabled = false;
            passFocus(this.stopButton, this.runButton);
        } finally {
            this.stopButton.hidden = true;
        }
    }

    verdict(question, chosen, rows) {
        const right = rows.get(chosen) !== null;
        const box = element('div', { class: `live-verdict ${right ? 'live-agrees' : 'live-disagrees'}`, tabindex: '-1' },
            element('p', {}, element('strong', {}, right ? 'You caught it. ' : 'Not that one: '),
                ...(right ? [] : [element('code', {}, chosen), ' passes. '])),
            element('p', {}, ...code(question.why)));
        this.result.append(box);
        this.at += 1;
        if (this.at < this.questions.length) {
            const next = element('button', { type: 'button', onclick: () => this.ask() }, 'Show the next one');
            this.result.append(element('div', { class: 'live-buttons' }, next));
        }
        bringFocus(this.section, box);
    }
}

/** A test that has run. */
function row({ test, said }) {
    const passed = said === null;
    return element('li', {}, `${passed ? '✓' : '✗'} `, element('code', {}, test), passed ? ' passes' : ' fails: ',
        ...(passed ? [] : code(plain(said))));
}

/** A diff, with colors for what is taken away and what is added. */
function difference(text) {
    const kind = { '-': 'hljs-deletion', '+': 'hljs-addition' };
    const lines = text.split('\n').flatMap((line) => [element('span', { class: kind[line[0]] }, line), '\n']);
    return element('pre', {}, element('code', { class: 'language-diff hljs' }, ...lines));
}

/** A text in which what is between backticks is code. */
const code = (text) => text.split('`').map((part, index) => (index % 2 ? element('code', {}, part) : part));
