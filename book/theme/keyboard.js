// Code and tables that are wider than the page can be scrolled with the keyboard, too: they get the focus.
const wide = () => {
    for (const box of document.querySelectorAll('.content pre > code, .content .table-wrapper')) {
        if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
        else box.removeAttribute('tabindex');
    }
};
addEventListener('load', wide);
addEventListener('resize', wide);
document.addEventListener('toggle', wide, true); // a folded text has no width until it is unfolded
