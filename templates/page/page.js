// Keeps the status page as it is now: the server says over a WebSocket which parts have changed. Where there is none the page is fetched again.
"use strict";

(() => {
	const FETCH_MS = 10000, RETRY_FIRST_MS = 1000, RETRY_MAX_MS = 30000;
	const live = document.getElementById("live");
	let retry = RETRY_FIRST_MS, connected = false;

	// The reader's place is kept: what has the focus has it again.
	function put(element, html) {
		if (!element || element.innerHTML === html) return;
		const focused = element.contains(document.activeElement) ? document.activeElement : null;
		const id = focused && focused.id, href = focused && focused.getAttribute("href");
		element.innerHTML = html;
		if (!focused) return;
		const again = id ? document.getElementById(id) : href && Array.from(element.querySelectorAll("a")).find((a) => a.getAttribute("href") === href);
		if (again) again.focus({ preventScroll: true });
	}

	function say(text) {
		if (live.textContent !== text) live.textContent = text;
	}

	function onMessage(event) {
		const news = JSON.parse(event.data);
		document.title = new DOMParser().parseFromString(news.title, "text/html").body.textContent;
		for (const part of news.parts) put(document.getElementById(part.id), part.html);
	}

	async function fetchAgain() {
		if (connected || document.hidden) return;
		try {
			const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
			if (!answer.ok) return;
			const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
			document.title = fresh.title;
			for (const id of ["notice", "summary", "sites", "pager", "alerts", "controller", "asof"]) {
				const now = fresh.getElementById(id);
				if (now) put(document.getElementById(id), now.innerHTML);
			}
		} catch {
			say("The controller cannot be reached.");
		}
	}

	function connect() {
		const to = new URL("live" + location.search, location.href);
		to.protocol = location.protocol === "https:" ? "wss:" : "ws:";
		to.hash = "";
		const socket = new WebSocket(to);
		socket.onopen = () => {
			connected = true;
			retry = RETRY_FIRST_MS;
			say("Changes show by themselves.");
		};
		socket.onmessage = onMessage;
		socket.onclose = () => {
			connected = false;
			say("Connection lost; trying again.");
			setTimeout(connect, retry);
			retry = Math.min(2 * retry, RETRY_MAX_MS);
		};
	}

	connect();
	setInterval(fetchAgain, FETCH_MS);
})();
