// Loads the live book's modules. Where a browser cannot, because the page was opened from a file, a script that has all of them
// in it is tried, which is there if the book has the machine in it. Without either, the pages stay as they are.
const bookFolder = new URL(typeof path_to_root === 'undefined' ? '' : path_to_root, document.baseURI).href;
import(`${bookFolder}live/page.js`).catch(() => {
    if (location.protocol !== 'file:') return;
    const script = document.createElement('script');
    script.src = `${bookFolder}machine/live.js`;
    document.head.append(script);
});
