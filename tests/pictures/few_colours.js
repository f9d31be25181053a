// A PNG (base64) as rows of indexes into its 256 most used colours, every other one being the nearest of them: what
// edges of letters lose by it nobody sees, and a page is a third of the size.
async (png) => {
  const bytes = Uint8Array.from(atob(png), (each) => each.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const { width, height } = image;
  const pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);

  const used = new Map();
  const colour = (at) => (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  for (let at = 0; at < data.length; at += 4) used.set(colour(at), (used.get(colour(at)) ?? 0) + 1);
  const kept = [...used].sort(([a, n], [b, m]) => m - n || a - b).slice(0, 256).map(([each]) => each);

  const parts = (each) => [each >> 16, (each >> 8) & 255, each & 255];
  const far = (a, b) => parts(a).reduce((sum, part, at) => sum + (part - parts(b)[at]) ** 2, 0);
  const nearest = (each) => kept.reduce((best, other, at) => (far(each, other) < far(each, kept[best]) ? at : best), 0);
  const index = new Map(kept.map((each, at) => [each, at]));
  for (const each of used.keys()) if (!index.has(each)) index.set(each, nearest(each));

  const rows = new Uint8Array((width + 1) * height); // each begins with a 0: no filter
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows[y * (width + 1) + 1 + x] = index.get(colour((y * width + x) * 4));
  }
  let text = "";
  for (let at = 0; at < rows.length; at += 32768) text += String.fromCharCode(...rows.subarray(at, at + 32768));
  return { width, height, palette: kept.flatMap(parts), rows: btoa(text) };
};
