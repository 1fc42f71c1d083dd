// What makes a page live. It runs in each page of the book, and does nothing where no backend answers.

import { contents } from './contents.js';
import { element, page } from './dom.js';
import { listen } from './channel.js';
import { exercise } from './exercise.js';
import { experiment } from './experiment.js';
import { connect as server } from './local.js';
import { connect as linux } from './linux.js';

async function begin() {
    if (page === 'print') return; // All pages on one, for paper: a question stays what it is.
    const backend = (await server()) ?? (await linux());
    if (!backend) return;
    document.documentElement.classList.add('live-book');
    const place = document.querySelector('.content main') ?? document.body;
    const line = element('p', { class: 'live-notice', role: 'alert', hidden: true });
    place.prepend(line);
    /** Says what is wrong with the server, at the top of the page; an empty text takes it back. */
    const notice = (text) => {
        if (line.textContent === text) return; // A screen reader would say it again with each attempt to reach the server.
        line.textContent = text;
        line.hidden = !text;
    };
    let progress; // when the page was loaded
    try {
        progress = await backend.progress();
    } catch (error) {
        notice(error.message);
        return;
    }
    contents(progress);
    experiment(backend, progress);
    const shown = exercise(backend, progress);
    /** Asks what is so now, and shows it. Where no answer comes, the notice says why. */
    const again = async () => {
        const now = await backend.progress().catch(() => null);
        if (!now) return;
        contents(now);
        shown?.update(now.exercises[shown.name]);
    };
    /** Is the page out of date? Then it has changed in a later build than the one that was served when it was loaded. */
    const isOld = ({ kind, pages, changed = {} }) =>
        (kind === 'reload' && (!pages || pages.includes(page))) || (kind === 'hello' && changed[page] > progress.build);
    // The loop that is drawn is the local server's; the shell is that of the Linux in this page.
    if (document.getElementById('live-loop') && backend.block) (await import('./loop.js')).loop(backend);
    if (document.getElementById('live-shell') && backend.shell) (await import('./shell.js')).shell(backend);
    document.addEventListener('workbook:progress', again);
    listen(backend, (event) => {
        notice('');
        if (isOld(event)) location.reload();
        else if (event.kind === 'saved' && event.exercise === shown?.name) shown.saved();
        else if (event.kind === 'hello' || event.kind === 'progress') again();
        else document.dispatchEvent(new CustomEvent('workbook:event', { detail: event }));
    }, notice);
}

begin();
