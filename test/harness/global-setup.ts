import type { TestProject } from 'vitest/node';
import { startBroker } from './broker.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the broker of the real parts listens; tests use test/harness/parts.ts instead. */
    partsUrl: string;
  }
}

/** Makes the real parts available to a project's suites. A part starts when the first suite asks for it. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const shared = process.env['KEYWRIGHT_TEST_PARTS_URL'];
  if (shared !== undefined) {
    project.provide('partsUrl', shared);
    return undefined;
  }
  const broker = await startBroker();
  project.provide('partsUrl', broker.url);
  return () => broker.stop();
}
