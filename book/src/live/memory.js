// The reader's predictions, kept in this browser. Where the browser keeps nothing, they last as long as the page.

const KEY = 'workbook-predictions';
let kept = read();

function read() {
    try {
        return JSON.parse(localStorage.getItem(KEY)) ?? {};
    } catch {
        return {};
    }
}

/** The prediction for an experiment, if there was one. */
export const recall = (name) => kept[name];

/** How many of these experiments have a prediction. */
export const predicted = (names) => names.filter((name) => name in kept).length;

export function remember(name, prediction) {
    kept = { ...read(), ...kept, [name]: prediction };
    try {
        localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
        // Private windows may refuse; then the prediction lasts as long as the page.
    }
}
