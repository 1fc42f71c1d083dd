// Code and tables that are wider than the page can be scrolled with the keyboard, too: they get the focus. Their right edge fades
// as long as there is more behind it, because many browsers show no scroll bar.
const BOXES = '.content :is(pre > code, .table-wrapper)';
const fade = (box) => box.classList.toggle('more', box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
const wide = () => {
    for (const box of document.querySelectorAll(BOXES)) {
        if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
        else box.removeAttribute('tabindex');
        fade(box);
    }
};
const content = document.querySelector('.content');
// The sidebar, too, takes room from the page: the window's size alone does not tell.
new ResizeObserver(wide).observe(content);
// A folded text has no width until it is unfolded, and the live book adds rows to tables.
new MutationObserver(wide).observe(content, {
    childList: true, characterData: true, subtree: true, attributes: true, attributeFilter: ['open', 'hidden'],
});
document.fonts.ready.then(wide); // letters of another font can be wider, in a box of the same size
// An arrow key scrolls such a box. mdBook would take it for a wish to read the next chapter.
const arrow = (event) => {
    const { key, target } = event;
    if (!['ArrowLeft', 'ArrowRight'].includes(key) || !target.matches?.(BOXES)) return;
    if (target.scrollWidth > target.clientWidth) event.stopPropagation();
};
document.addEventListener('keydown', arrow, true);
const scrolled = ({ target }) => target.matches?.(BOXES) && fade(target);
document.addEventListener('scroll', scrolled, true);
