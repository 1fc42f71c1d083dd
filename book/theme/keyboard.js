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
addEventListener('load', wide);
addEventListener('resize', wide);
document.addEventListener('toggle', wide, true); // a folded text has no width until it is unfolded
const scrolled = ({ target }) => target.matches?.(BOXES) && fade(target);
document.addEventListener('scroll', scrolled, true);
