// The key of a mounted Secret, for a program that lives through rotations. To be copied; needs Node 18.
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Reads the line to send from the Secret's directory: again when it is older than `maxAgeMs`, or was refused. */
export class MountedKey {
  #file;
  #maxAgeMs;
  #headers;
  #readAt = -Infinity;

  constructor(directory, maxAgeMs = 5000) {
    this.#file = join(directory, 'header');
    this.#maxAgeMs = maxAgeMs;
  }

  /** As `{ Authorization: 'Bearer …' }`. */
  async headers() {
    if (performance.now() - this.#readAt > this.#maxAgeMs) await this.#read();
    return this.#headers;
  }

  /** Reads again at the next call. */
  forget() {
    this.#readAt = -Infinity;
  }

  async #read() {
    try {
      const [, name, value] = /^([^:]+): *(.+)$/.exec(await readFile(this.#file, 'utf8'));
      this.#headers = { [name]: value };
      this.#readAt = performance.now();
    } catch (error) {
      // A swap of the files can get in between: what was read before is still good.
      if (this.#headers === undefined) throw error;
    }
  }
}

/** As `fetch`, with the key, and once more with a fresh one when it is refused. For bodies that can be sent twice. */
export async function fetchWithKey(key, url, init = {}) {
  const send = async () => fetch(url, { ...init, headers: { ...init.headers, ...(await key.headers()) } });
  const answer = await send();
  if (answer.status !== 401) return answer;
  await answer.body?.cancel();
  key.forget();
  return send();
}

/** Tells of each new key at once, for what keeps connections open. The directory is watched: the files in it are links. */
export function onNewKey(directory, listener) {
  return watch(directory, (_event, name) => name === '..data' && listener());
}
