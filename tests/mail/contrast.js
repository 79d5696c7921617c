// Runs in the page. The lowest WCAG 2.2 contrast ratio of any text that is seen (a glyph alone is decoration):
// `plain` as shown, `negative` and `lightness` as the two kinds of mail programs show it that invert colours.
// In each: `all` over all text, `body` over text outside of links, banner and footer.
(() => {
  const CANVAS = { light: [255, 255, 255, 1], dark: [18, 18, 18, 1] };
  const APART = 'a, [class~="banner"], [class~="foot"]';

  function rgba(text) {
    const numbers = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    return numbers.length < 4 ? [...numbers, 1] : numbers;
  }

  function over(front, back) {
    const alpha = front[3];
    return [0, 1, 2].map((i) => front[i] * alpha + back[i] * (1 - alpha)).concat(1);
  }

  function canvas() {
    const scheme = getComputedStyle(document.documentElement).colorScheme;
    const meta = document.querySelector('meta[name="color-scheme"]')?.content ?? '';
    const dark = matchMedia('(prefers-color-scheme: dark)').matches && `${scheme} ${meta}`.includes('dark');
    return dark ? CANVAS.dark : CANVAS.light;
  }

  function background(element) {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduceRight((back, front) => over(front, back), canvas());
  }

  function seen(element) {
    const box = document.createRange();
    box.selectNodeContents(element);
    const { width, height } = box.getBoundingClientRect();
    const style = getComputedStyle(element);
    for (let one = element; one !== document.body; one = one.parentElement) { // a preheader is cut off, not gone
      const shape = one.getBoundingClientRect();
      if (getComputedStyle(one).overflow === 'hidden' && (shape.width <= 1 || shape.height <= 1)) return false;
    }
    return width > 1 && height > 1 && style.visibility === 'visible' && Number(style.opacity) > 0
      && Number.parseFloat(style.fontSize) > 1;
  }

  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = (c) => 0.2126 * linear(c[0] / 255) + 0.7152 * linear(c[1] / 255) + 0.0722 * linear(c[2] / 255);

  function ratio(one, other) {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  // Every channel turned round.
  const negative = (c) => [255 - c[0], 255 - c[1], 255 - c[2]];

  // The lightness of HSL turned round; hue and saturation stay. Adding one number to all channels does it.
  function lightness(c) {
    const turn = 255 - Math.max(c[0], c[1], c[2]) - Math.min(c[0], c[1], c[2]);
    return [c[0] + turn, c[1] + turn, c[2] + turn];
  }

  const MODELS = { plain: (c) => c, negative, lightness };

  globalThis.contrasts = () => {
    const lowest = {};
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (!/[\p{L}\p{N}]/u.test(node.data) || /^(style|script|title)$/i.test(element.tagName) || !seen(element)) continue;
      const back = background(element);
      const front = over(rgba(getComputedStyle(element).color), back);
      const parts = element.closest(APART) ? ['all'] : ['all', 'body'];
      for (const [model, change] of Object.entries(MODELS)) {
        const found = Math.round(ratio(change(front), change(back)) * 100) / 100;
        for (const part of parts) {
          const known = (lowest[model] ??= {});
          if (!known[part] || found < known[part].ratio) {
            known[part] = { ratio: found, text: node.data.trim().slice(0, 40), front, back };
          }
        }
      }
    }
    return lowest;
  };
})();
