// A question with choices, of which the reader takes one.

import { element } from './dom.js';

/**
 * The choices as radio buttons.
 * @param {string} use what they are for, in names and ids @param {string} legend
 * @param {Array<[string, Array<Node|string>]>} options the value of each, and what is shown
 */
export function choices(use, legend, options) {
    const rows = options.map(([value, content]) => {
        const id = `live-${use}-${value}`;
        return element('div', { class: 'live-choice' },
            element('input', { type: 'radio', name: `live-${use}`, id, value }),
            element('label', { for: id }, ...content));
    });
    return element('fieldset', { class: 'live-choices' }, element('legend', {}, legend), ...rows);
}
