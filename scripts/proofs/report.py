"""Opens a page of `metaqnn report` and fails on whatever a reader would stumble over.

usage: report.py PAGE STATUS PICTURES     STATUS: what `status --json` says of each search, one a line
"""
import json, os, sys, time
from playwright.sync_api import sync_playwright

path, status, pictures = sys.argv[1:]
url = "file://" + os.path.abspath(path)
searches = [json.loads(line) for line in open(status)]
size = os.path.getsize(path)
assert size < 3_000_000, f"{size} bytes"

VIEWS = {
    "desk": dict(viewport={"width": 1280, "height": 900}),
    "dark": dict(viewport={"width": 1280, "height": 900}, color_scheme="dark"),
    "phone": dict(viewport={"width": 390, "height": 844}, device_scale_factor=2),
    "phone-dark": dict(viewport={"width": 390, "height": 844}, color_scheme="dark"),
    "no-script": dict(viewport={"width": 1280, "height": 900}, java_script_enabled=False),
}
HEADINGS = "nodes => nodes.map(node => +node.tagName[1])"
# Text whose colour is too near to its background's (WCAG: 4.5 to 1).
FAINT = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((it) => it / 255)
      .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const own = getComputedStyle(node).backgroundColor;
    return (parts(own)[3] ?? 1) > 0 ? own : node.parentElement ? behind(node.parentElement) : "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("h1, h2, h3, p, td, th, dt, dd, a, button, figcaption, pre")]
    .filter((node) => {
      const [one, other] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
      return (one + 0.05) / (other + 0.05) < 4.5;
    }).map((node) => node.outerHTML.slice(0, 80));
}"""


def column(section, number):
    cells = section.locator(f"tbody tr:not([hidden]) td:nth-child({number})").all_inner_texts()
    return [float(cell.split(" ")[0].replace(",", "")) for cell in cells if cell]


def use(page):
    """Sorts and filters each table by the keyboard alone."""
    for section, search in zip(page.locator(".models").all(), searches):
        rows = section.locator("tbody tr")
        heading = section.locator("th", has_text="parameters")
        for order, ends in ("ascending", 1), ("descending", -1):
            heading.locator("button").focus()
            page.keyboard.press("Enter")
            assert heading.get_attribute("aria-sort") == order
            assert section.locator("[aria-sort]").count() == 1
            found = column(section, 6)
            assert found == sorted(found)[::ends] and found, found[:5]
        everything = rows.count()
        section.locator("input").focus()
        page.keyboard.type("trained")
        trained = section.locator("tbody tr:not([hidden])").count()
        assert trained == search["counts"]["trained"], (trained, search["counts"])
        assert section.locator(".count").inner_text() == f"{trained} of {everything} models"
        section.locator("input").fill("no such network")
        assert section.locator("tbody tr:not([hidden])").count() == 0
        section.locator("input").fill("")
        section.locator("th button").first.click()
        assert rows.count() == everything and column(section, 1) == sorted(column(section, 1))
        if search["best"]:
            best = f"{100 * search['best']['best_validation_accuracy']:.2f}"
            assert rows.first.locator("td").nth(2).inner_text() == best
            assert best + "\u00a0%" in page.locator("main").inner_text()


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"])
    for view, options in VIEWS.items():
        page = browser.new_context(offline=True, **options).new_page()
        page.set_default_timeout(120_000)
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        browser_of = page.context.new_cdp_session(page)
        browser_of.send("Performance.enable")
        began = time.monotonic()
        page.goto(url)
        has_script = options.get("java_script_enabled", True)
        if has_script:
            page.locator("th[aria-sort] button").first.wait_for()
        waited = time.monotonic() - began
        # The processor time of the page: this machine may be busy.
        metrics = browser_of.send("Performance.getMetrics")["metrics"]
        seconds = next(it["value"] for it in metrics if it["name"] == "ProcessTime")
        assert seconds < 3, f"{view}: {seconds:.1f} s"
        rows = page.locator(".models tbody tr").count()
        page.screenshot(path=f"{pictures}-{view}-top.png")
        if rows < 500:  # Chromium draws no picture of a hundred thousand lines.
            page.screenshot(path=f"{pictures}-{view}.png", full_page=True)
        if has_script:
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= options["viewport"]["width"], f"{view}: {width} pixels wide"
            levels = page.eval_on_selector_all("h1, h2, h3, h4, h5, h6", HEADINGS)
            assert levels.count(1) == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:])), levels
            faint = page.evaluate(FAINT)
            assert not faint, f"{view}: {faint[:3]}"
            use(page)
        else:
            assert 0 < rows <= 50 * len(searches) and not page.locator(".filter").first.is_visible()
        if view == "desk":
            page.pdf(path=f"{pictures}.pdf")
        assert not complaints, f"{view}: {complaints}"
        assert set(requests) == {url}, f"{view}: {requests}"
        print(f"   {os.path.basename(pictures)}, {view}: {rows} rows after {waited:.2f} s, {seconds:.2f} s of processor")
    browser.close()
print(f"   {os.path.basename(pictures)}: {size} bytes, no request, no complaint")
