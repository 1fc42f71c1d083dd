// Progress in the book's contents: "predicted 14 of 19" beside a chapter, and a sign beside each exercise that is done.

import { element, root } from './dom.js';
import { prediction } from './memory.js';

/** Writes the progress into the sidebar, in place of what was there. */
export function contents(progress) {
    // Without the links to headings, which mdBook adds below the page that is shown.
    const links = [...document.querySelectorAll('.sidebar .chapter a[href]')].filter((link) => !link.hash);
    if (!links.length) return;
    document.querySelectorAll('.live-progress').forEach((old) => old.remove());
    const path = (link) => link.href.slice(root.length).replace(/[#?].*$/, '').replace(/\.html$/, '');
    const chapters = new Map();
    for (const link of links) {
        const [folder, name] = path(link).split('/');
        if (!name) continue;
        const chapter = chapters.get(folder) ?? chapters.set(folder, { names: new Set() }).get(folder);
        if (name === 'index') chapter.link = link;
        if (name in (progress.experiments ?? {})) chapter.names.add(name);
        const done = name.startsWith('exercise-') && exerciseIn(progress, folder, name.slice(9))?.done;
        if (done) link.append(element('span', { class: 'live-progress' }, ' ✓ done'));
    }
    for (const { link, names } of chapters.values()) {
        const count = [...names].filter((name) => prediction(progress, name)).length;
        if (link && count) {
            link.append(element('span', { class: 'live-progress' }, ` predicted ${count} of ${names.size}`));
        }
    }
}

function exerciseIn({ exercises = {} }, folder, module) {
    const found = Object.entries(exercises).filter(([name]) => name.endsWith(`/${module}`));
    return (found.find(([, { page }]) => page?.startsWith(folder)) ?? found[0])?.[1];
}
