'use strict';
// The filters of the page. Without this script everything is shown, and can be read and printed.
(function () {
  const form = document.getElementById('filters');
  const find = document.getElementById('text');
  const namespace = document.getElementById('namespace');
  const boxes = Array.from(form.querySelectorAll('input[name=verdict]'));
  const count = document.getElementById('count');
  const unfold = document.getElementById('unfold');
  const groups = Array.from(document.querySelectorAll('.namespace')).map(function (element) {
    const ports = Array.from(element.querySelectorAll('details.port')).map(function (port) {
      return { element: port, text: (element.dataset.namespace + ' ' + port.textContent).toLowerCase(), verdict: port.dataset.verdict };
    });
    return { element: element, name: element.dataset.namespace, ports: ports };
  });
  const total = groups.reduce(function (n, group) { return n + group.ports.length; }, 0);

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(boxes.filter(function (box) { return box.checked; }).map(function (box) { return box.value; }));
    let shown = 0;
    groups.forEach(function (group) {
      let any = false;
      group.ports.forEach(function (port) {
        const fits = (namespace.value === '' || namespace.value === group.name) && wanted.has(port.verdict) &&
          words.every(function (word) { return port.text.includes(word); });
        port.element.hidden = !fits;
        any = any || fits;
        shown += fits ? 1 : 0;
      });
      group.element.hidden = !any;
    });
    count.textContent = shown + ' of ' + total + ' ports';
    const left = groups.some(function (group) { return group.ports.some(function (port) { return !port.element.hidden && !port.element.open; }); });
    unfold.textContent = left ? 'Open all' : 'Close all';
  }

  function toggle() {
    const opening = unfold.textContent === 'Open all';
    groups.forEach(function (group) {
      group.ports.forEach(function (port) {
        if (!port.element.hidden) { port.element.open = opening; }
      });
    });
    filter();
  }

  form.hidden = false;
  form.addEventListener('input', filter);
  form.addEventListener('submit', function (event) { event.preventDefault(); });
  form.addEventListener('reset', function () { setTimeout(filter, 0); });
  unfold.addEventListener('click', toggle);
  document.addEventListener('keydown', function (event) {
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName);
    if (event.key === '/' && !typing) {
      event.preventDefault();
      find.focus();
    } else if (event.key === 'Escape' && event.target === find) {
      find.value = '';
      filter();
    }
  });
  filter();
})();
