// Loads the live book's modules. Where a browser cannot, for example from a file, the pages stay as they are.
import(new URL(`${typeof path_to_root === 'undefined' ? '' : path_to_root}live/page.js`, document.baseURI).href).catch(() => {});
