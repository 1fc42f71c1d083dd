// What the modules of the live book share: making elements, and where the book begins.

/** The address of the book's first folder, with a slash at its end. This module is in `live/`. */
export const root = new URL('..', import.meta.url).href;

/** The page's path below the root, without its ending: `02-close-on-exec/fd-vanishes`; of a folder, that of its `index`. */
export const page = location.href.slice(root.length).replace(/[#?].*$/, '').replace(/\.html$/, '').replace(/(^|\/)$/, '$1index');

/**
 * Makes an element. Every text becomes a text node, so that nothing that a program prints can become markup.
 * @param {string} name @param {Object<string, any>} attributes @param {...(Node|string)} children
 */
export function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
        else if (value === true) made.setAttribute(key, '');
        else if (value !== false && value != null) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child != null));
    return made;
}

/** The same in a drawing. */
export function shape(name, attributes = {}, ...children) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

/** Gives the focus to another control before the one that has it is hidden or disabled: a reader with a keyboard would lose it. */
export const passFocus = (from, to) => document.activeElement === from && to.focus({ preventScroll: true });

/** Moves the focus to what the reader of this box waits for, unless the reader has gone elsewhere meanwhile: to the search, say. */
export function bringFocus(box, to) {
    const at = document.activeElement;
    if (!at || at === document.body || box.contains(at)) to.focus({ preventScroll: true });
}

/** A program's output as the reader should see it: no colors, and control characters as pictures of them. */
export function plain(text) {
    return text
        .replace(/\x1b\[[0-9;]*[A-Za-z]/g, '')
        .replace(/[\x00-\x08\x0b-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
        .replace(/\x7f/g, '\u2421');
}
