/**
 * Tells the echo of our own status writes from what others do to a status. A write of ours must not bring about another pass:
 * a pass that mends what somebody destroys in a loop says something new each time, and nothing would bound its writes. A status
 * that somebody else changed is put right by one.
 *
 * The watch may be ahead of the answer to the write, so what is heard during a pass is judged at its end.
 */
export class Echoes {
  readonly #inPass = new Set<string>();
  /** The resourceVersion heard last during the pass of a key. */
  readonly #heard = new Map<string, string>();
  /** The resourceVersion of the last status that we wrote. */
  readonly #ours = new Map<string, string>();

  begin(key: string): void {
    this.#inPass.add(key);
  }

  /** An event told of nothing but another resourceVersion. Whether that asks for a pass, as far as can be said now. */
  hear(key: string, resourceVersion: string): boolean {
    if (!this.#inPass.has(key)) return this.#ours.get(key) !== resourceVersion;
    this.#heard.set(key, resourceVersion);
    return false;
  }

  /** A pass ended that wrote the status of that resourceVersion, or none. Whether somebody else was heard meanwhile. */
  end(key: string, written: string | undefined): boolean {
    const before = this.#ours.get(key);
    if (written !== undefined) this.#ours.set(key, written);
    const heard = this.#heard.get(key);
    this.#inPass.delete(key);
    this.#heard.delete(key);
    return heard !== undefined && heard !== before && heard !== written;
  }

  forget(key: string): void {
    this.#ours.delete(key);
  }
}
