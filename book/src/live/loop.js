// The page about the loop that serves it: a strip of iterations, drawn from the server's own trace as they happen.
//
// The picture is a result of the reader's own acts: a click, a block, a slow client. Its own traffic is hatched, because
// without that the trace would show little but itself.

import { element, shape } from './dom.js';
import { refusal } from './local.js';

const KEPT = 120; // iterations in the strip
const LANES = ['callbacks', 'timers', 'asleep', 'events'];
const NAMES = { callbacks: 'callbacks', timers: 'timers', asleep: 'asleep', events: 'handlers' };
const [COLUMN, LEFT, ROW, LETTER] = [7.2, 92, 34, 9];

/** How many columns there is room for: on a phone, a third as many make the text larger. */
const columns = () => (innerWidth < 600 ? KEPT / 3 : KEPT);

/** Draws into the page's element `live-loop`. */
export function loop(backend) {
    const strip = shape('svg', { class: 'figure live-strip', 'aria-hidden': 'true' });
    const table = element('tbody');
    const status = element('p', { role: 'status', class: 'live-status' });
    const stack = element('pre', { class: 'live-output', hidden: true, tabindex: '0' });
    let iterations = [];
    let paused = false;
    let waiting = [];

    const draw = () => {
        drawStrip(strip, iterations.slice(-columns()));
        table.replaceChildren(...iterations.slice(-12).reverse().map(row));
    };
    const act = async (label, call) => {
        status.textContent = label;
        try {
            await call();
        } catch (error) {
            status.replaceChildren(refusal(error));
        }
    };
    const pauseButton = element('button', { type: 'button', onclick: () => {
        paused = !paused;
        pauseButton.textContent = paused ? 'Go on' : 'Pause';
        stepButton.disabled = !paused;
        if (!paused) take(waiting.splice(0));
    } }, 'Pause');
    const stepButton = element('button', { type: 'button', disabled: true, onclick: () => take(waiting.splice(0, 1)) }, 'Step');
    const take = (more) => {
        iterations = [...iterations, ...more].slice(-KEPT);
        draw();
    };
    document.addEventListener('workbook:event', ({ detail }) => {
        if (detail.kind === 'trace') {
            if (paused) waiting = [...waiting, ...detail.iterations].slice(-KEPT);
            else take(detail.iterations);
        } else if (detail.kind === 'blocked') {
            status.textContent = `The loop was blocked: its watchdog reports this call stack after ${detail.threshold_ms} ms.`;
            stack.hidden = false;
            stack.textContent = detail.stack.join('\n');
        }
    });
    document.getElementById('live-loop').replaceChildren(
        element('div', { class: 'live-buttons' },
            element('button', { type: 'button', onclick: () => act('You asked the server for its name.', () => backend.click()) }, 'Send a request'),
            element('button', { type: 'button', onclick: () => act('The loop is blocked for 300 ms.', () => backend.block(300)) }, 'Block the loop for 300 ms'),
            element('button', { type: 'button', onclick: () => act('A client now sends a byte a second.', () => backend.slow()) }, 'Open a slow client'),
            pauseButton, stepButton),
        strip, status, stack,
        element('div', { class: 'table-wrapper' },
            element('table', {},
                element('caption', {}, 'The newest iterations, in words'),
                element('thead', {}, element('tr', {}, ...['iteration', 'what ran', 'asked to sleep', 'slept', 'whose'].map((name) => element('th', { scope: 'col' }, name)))),
                table)));
    draw();
}

const ms = (us) => (us == null ? 'without limit' : us < 1000 ? `${us} µs` : `${(us / 1000).toFixed(1)} ms`);

function row(turn) {
    const ran = ['callbacks', 'timers', 'events'].filter((kind) => turn[kind]).map((kind) => `${turn[kind]} ${turn[kind] === 1 ? NAMES[kind].slice(0, -1) : NAMES[kind]}`);
    return element('tr', {}, element('td', {}, String(turn.number)), element('td', {}, ran.join(', ') || 'nothing'),
        element('td', {}, ms(turn.asked_us)), element('td', {}, ms(turn.slept_us)),
        element('td', {}, turn.label ?? (turn.observer ? 'this picture' : '')));
}

/** One column for each iteration; in each lane a bar whose height is the logarithm of the time. */
function drawStrip(strip, iterations) {
    const hatch = shape('pattern', { id: 'live-hatch', width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
        shape('rect', { width: 2, height: 5, class: 'live-hatched' }));
    const width = LEFT + COLUMN * columns();
    strip.setAttribute('viewBox', `0 0 ${width} ${ROW * LANES.length + 30}`);
    const parts = [shape('defs', {}, hatch)];
    LANES.forEach((lane, index) => {
        const base = (index + 1) * ROW;
        parts.push(shape('text', { class: 'small', x: 0, y: base - 6 }, NAMES[lane]),
            shape('path', { class: 'rule', d: `M${LEFT} ${base}H${width}` }));
        iterations.forEach((turn, column) => {
            const us = lane === 'asleep' ? turn.slept_us : turn[`${lane}_us`];
            const happened = lane === 'asleep' ? us > 0 : turn[lane] > 0;
            if (!happened) return;
            const height = Math.max(3, Math.min(ROW - 6, Math.log10(1 + us) * 5));
            parts.push(shape('rect', {
                x: LEFT + column * COLUMN, y: base - height, width: COLUMN - 1, height,
                class: `live-bar live-${lane}`, ...(turn.observer && { style: 'fill: url(#live-hatch)' }),
            }));
        });
    });
    // The newest first: where there is no room for all labels, the reader's last act has one.
    let free = Infinity; // from here on, the line has labels
    for (let column = iterations.length - 1; column >= 0; column--) {
        const { label } = iterations[column];
        if (!label) continue;
        const [x, long] = [LEFT + column * COLUMN, LETTER * label.length];
        const isLast = x + long > width;
        if ((isLast ? x : x + long) > free) continue;
        free = isLast ? x - long : x;
        parts.push(shape('path', { class: 'arrow', d: `M${x} ${ROW * LANES.length + 4}v6` }),
            shape('text', { class: `small ${isLast ? 'end' : ''}`, x, y: ROW * LANES.length + 24 }, label));
    }
    strip.replaceChildren(...parts);
}
