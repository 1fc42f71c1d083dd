// The timeline of an experiment, drawn row by row while the experiment runs: one lane for each process or thread.

import { element, plain, shape } from './dom.js';

const LANE = 26; // px from one lane to the next
const ROW = 26;

/**
 * A timeline to which rows are added. It is a list, so that a screen reader reads it as text: the lanes are a drawing
 * beside it, and each row says in words whose it is.
 */
export class Timeline {
    lanes = [];
    ended = new Set();
    list = element('ol', { class: 'live-timeline', 'aria-label': 'What happened, in order' });

    /** @param {{who: string, by?: string, event?: string, text: string}} row */
    add({ who: lane, by = lane, event: what = 'note', text }) {
        const from = this.column(by);
        const to = this.column(lane);
        const isNew = what === 'born';
        const row = element('li', {},
            element('span', { class: 'live-lane' }, lane),
            element('span', { class: 'live-text' }, plain(text)));
        row.prepend(this.lines(from, to, what, isNew ? to : -1));
        this.list.style.setProperty('--lanes', this.lanes.length);
        if (what === 'end') this.ended.add(lane);
        this.list.append(row);
        return row;
    }

    column(lane) {
        if (!this.lanes.includes(lane)) this.lanes.push(lane);
        return this.lanes.indexOf(lane);
    }

    /** The lanes of one row: a line for each that is alive, and the sign of what happened. */
    lines(from, to, what, born) {
        const x = (column) => column * LANE + LANE / 2;
        const y = ROW / 2;
        const drawing = shape('svg', { class: 'live-lanes', 'aria-hidden': 'true' });
        this.lanes.forEach((lane, column) => {
            if (this.ended.has(lane)) return;
            const begins = column === born || (column === to && born < 0 && !this.started?.has(lane)) ? y : 0;
            // Past the row's end: a text of several lines makes the row higher, and the row cuts the line off.
            const ends = column === to && what === 'end' ? y : 40 * ROW;
            drawing.append(shape('path', { class: 'lane', d: `M${x(column)} ${begins}V${ends}` }));
            (this.started ??= new Set()).add(lane);
        });
        if (from !== to) drawing.append(shape('path', { class: 'arrow', d: `M${x(from)} ${y}H${x(to)}` }));
        drawing.append(what === 'end'
            ? shape('path', { class: 'cross', d: `M${x(to) - 5} ${y - 5}l10 10m0 -10l-10 10` })
            : shape('circle', { class: what === 'exec' ? 'dot live-exec' : 'dot', cx: x(to), cy: y, r: 5 }));
        return drawing;
    }
}
