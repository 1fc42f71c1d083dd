// The reader's predictions: which of them count, and where they are kept.
//
// A backend that keeps predictions says so: each experiment of its progress has `predicted`. Then only those count, so that
// every browser shows the same. For a backend that keeps none, they are kept in this browser, and where the browser keeps
// nothing, they last as long as the page.

const KEY = 'workbook-predictions';
let kept = read();

function read() {
    try {
        return JSON.parse(localStorage.getItem(KEY)) ?? {};
    } catch {
        return {};
    }
}

/** Reads them again, and says so to the page: another tab has kept more, or the browser shows the page as it was before. */
function again() {
    kept = { ...kept, ...read() };
    document.dispatchEvent(new CustomEvent('workbook:progress'));
}

addEventListener('storage', ({ key }) => key === KEY && again());
addEventListener('pageshow', ({ persisted }) => persisted && again());

/** The prediction for an experiment, if there was one. */
export function prediction(progress, name) {
    const known = progress.experiments?.[name];
    return known && 'predicted' in known ? known.predicted : kept[name];
}

/** Keeps a prediction, unless the backend does. */
export function remember(progress, name, choice) {
    if ('predicted' in (progress.experiments?.[name] ?? {})) return;
    kept = { ...kept, ...read(), [name]: choice };
    try {
        localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
        // Private windows may refuse; then the prediction lasts as long as the page.
    }
}
