// Drives a headless Chromium, one command a line on standard input, one answer a line on
// standard output, both JSON. Every context is a browser of its own: nothing is shared.
//
//	browser.mjs MODULES CHROMIUM
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [modules, executablePath] = process.argv.slice(2);
const found = createRequire(modules + "/x.js").resolve("playwright-core");
const { default: playwright } = await import(pathToFileURL(found));

const browser = await playwright.chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const pages = new Map();
const patience = 60000;

// page gives the one page of a context, which is made where it is new.
async function page(name) {
  if (!pages.has(name)) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 900, height: 800 } });
    context.setDefaultTimeout(patience);
    const made = await context.newPage();
    made.violations = [];
    made.on("console", (m) => /Content.Security.Policy/.test(m.text()) && made.violations.push(m.text()));
    pages.set(name, made);
  }
  return pages.get(name);
}

const commands = {
  async open(p, { url }) {
    const answer = await p.goto(url);
    return { status: answer ? answer.status() : 0 };
  },
  async fill(p, { field, value }) {
    await p.locator(`[name="${field}"]`).fill(value);
    return {};
  },
  async click(p, { text }) {
    await p.locator("button, a").filter({ hasText: text }).first().click();
    return {};
  },
  // wait waits until the heading says so.
  async wait(p, { text }) {
    await p.locator("h1", { hasText: text }).waitFor();
    return {};
  },
  async see(p) {
    const headings = await p.locator("h1").allInnerTexts();
    return { url: p.url(), title: await p.title(), headings, text: await p.locator("body").innerText(), violations: p.violations };
  },
  async shoot(p, { path, width, zoom, dark }) {
    await p.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await p.setViewportSize({ width: Math.round((width || 900) / (zoom || 1)), height: 800 });
    const wide = await p.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    if (path) await p.screenshot({ path, fullPage: true });
    return { wide };
  },
  // structure is what an assistive technology goes by.
  async structure(p) {
    return p.evaluate(() => ({
      lang: document.documentElement.lang,
      mains: document.querySelectorAll("main").length,
      scripts: document.scripts.length,
      unnamed: [...document.querySelectorAll("button, a, input:not([type=hidden])")].filter((e) => !e.innerText && !e.ariaLabel).length,
    }));
  },
};

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const { command, context, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command](await page(context || "main"), rest);
  } catch (e) {
    answer = { error: String(e) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
