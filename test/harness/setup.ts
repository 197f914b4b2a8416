import { afterEach, expect } from 'vitest';

/** What this process warned of since the last test: a library may say there what a manifest contains, on standard error. */
const warned: string[] = [];
process.on('warning', ({ name, message }) => void warned.push(`${name}: ${message}`));

afterEach(async () => {
  // Node emits a warning in a later turn than the call that caused it.
  await new Promise((resolve) => setImmediate(resolve));
  expect(warned.splice(0), 'warnings of this process').toEqual([]);
});
