// Loads the live book's modules. Where a browser cannot, because the page was opened from a file, a script that has all of them
// in it is tried, which is there if the book has the machine in it. Without either, the pages stay as they are.
const inBook = (path) => new URL(`${typeof path_to_root === 'undefined' ? '' : path_to_root}${path}`, document.baseURI).href;
import(inBook('live/page.js')).catch(() => {
    if (location.protocol !== 'file:') return;
    const script = document.createElement('script');
    script.src = inBook('machine/live.js');
    document.head.append(script);
});
