/* A page opened from disk may start no worker. There the search runs in a hidden frame that answers like one. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.appendChild(this.frame)
      this.inside = this.frame.contentWindow
      this.inside.document.open()
      this.inside.document.write(
        `<script>
          postMessage = parent.postMessage.bind(parent)
          importScripts = (...urls) => urls.reduce((last, url) => last.then(() => new Promise((done, failed) => {
            const script = document.createElement("script")
            Object.assign(script, { src: url, onload: done, onerror: failed })
            document.body.appendChild(script)
          })), Promise.resolve())
        <\/script><body><script src="${url}"><\/script>`)
      this.inside.document.close()
      this.ready = new Promise(done => { this.inside.onload = done })
      window.addEventListener("message", event => {
        if (event.source === this.inside || event.source === window) {
          const answer = new MessageEvent("message", { data: event.data })
          this.dispatchEvent(answer)
          if (this.onmessage) this.onmessage(answer)
        }
      })
    }
    postMessage(data) {
      this.ready.then(() => {
        this.inside.dispatchEvent(new MessageEvent("message", { data: JSON.parse(JSON.stringify(data)) }))
      })
    }
    terminate() { this.frame.remove() }
  }
}
