import type { WatchedKind } from '../resources/port.ts';

/** What one ApiKey depends on, as `<kind>/<name>`; a Secret's name is `<namespace>/<name>`. */
export type Dependency = `${WatchedKind | 'Secret'}/${string}`;

/** Who must be looked at when something else changes: the reverse of what each ApiKey named when it was last looked at. */
export class Dependents {
  readonly #byDependency = new Map<Dependency, Set<string>>();
  readonly #byKey = new Map<string, readonly Dependency[]>();

  /** Replaces what `key` depends on. */
  record(key: string, dependencies: readonly Dependency[]): void {
    this.forget(key);
    this.#byKey.set(key, dependencies);
    for (const dependency of dependencies) {
      const keys = this.#byDependency.get(dependency) ?? new Set();
      keys.add(key);
      this.#byDependency.set(dependency, keys);
    }
  }

  /** Whether the key was looked at by this process. */
  knows(key: string): boolean {
    return this.#byKey.has(key);
  }

  forget(key: string): void {
    for (const dependency of this.#byKey.get(key) ?? []) {
      const keys = this.#byDependency.get(dependency);
      keys?.delete(key);
      if (keys?.size === 0) this.#byDependency.delete(dependency);
    }
    this.#byKey.delete(key);
  }

  /** The keys that named it. */
  of(dependency: Dependency): readonly string[] {
    return [...(this.#byDependency.get(dependency) ?? [])];
  }
}
