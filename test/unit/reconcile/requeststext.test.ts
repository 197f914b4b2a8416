import { expect, it } from 'vitest';
import type { ApiKey } from '../../../operator/src/api/kinds.ts';
import { requestsText } from '../../../operator/src/reconcile/acceptance.ts';

it('is text that a database takes, wherever its bound cuts a long request', () => {
  for (const length of [1, 2]) {
    const paused = `${'x'.repeat(length)}${'🔑'.repeat(2_000)}`;
    const metadata = { annotations: { 'keywright.dev/paused': paused } } as unknown as ApiKey['metadata'];
    const text = requestsText({ metadata });
    expect(text).toHaveLength(2_048);
    expect(text.isWellFormed()).toBe(true);
  }
});
