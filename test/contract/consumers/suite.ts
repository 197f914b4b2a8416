import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { restartedFor, restartedKeyId } from '../../../operator/src/consumers/port.ts';
import type { ConsumerRef, Consumers } from '../../../operator/src/consumers/port.ts';
import type { Workload, WorkloadKind } from '../../../operator/src/resources/port.ts';

/** What a test does to the server behind the port, as `kubectl` would. */
export interface WorkloadDriver {
  /** With a pod template that has no annotations at all. */
  create(consumer: ConsumerRef): Promise<void>;
  /** Sets an annotation of the pod template. */
  annotateTemplate(consumer: ConsumerRef, name: string, value: string): Promise<void>;
  /** Changes the object without changing its pod template, as its controller does with the status. */
  touch(consumer: ConsumerRef): Promise<void>;
  /** Returns when the object is gone. */
  delete(consumer: ConsumerRef): Promise<void>;
}

export interface ConsumersSubject {
  readonly consumers: Consumers;
  readonly driver: WorkloadDriver;
  readonly namespace: string;
  close(): Promise<void>;
}

/** What every implementation of the consumers port keeps. */
export function consumersContract(title: string, open: () => Promise<ConsumersSubject>): void {
  describe(title, () => {
    let subject: ConsumersSubject;
    beforeAll(async () => {
      subject = await open();
    });
    afterAll(async () => {
      await subject.close();
    });

    const keyOf = (name: string) => ({ namespace: subject.namespace, name });
    const billing = () => keyOf('billing');
    const look = async (consumer: ConsumerRef): Promise<Workload> => {
      const workload = await subject.consumers.look(consumer, subject.namespace);
      if (workload === undefined) throw new Error(`${consumer.name} is not there`);
      return workload;
    };
    const made = async (name: string, kind: WorkloadKind = 'Deployment') => {
      const consumer = { kind, name };
      await subject.driver.create(consumer);
      return { consumer, observed: await look(consumer) };
    };

    it.each(['Deployment', 'StatefulSet', 'DaemonSet'] as const)('restarts a %s once for a version', async (kind) => {
      const { consumer, observed } = await made('once', kind);
      expect(observed.kind).toBe(kind);
      const order = { consumer, apiKey: billing(), keyId: 'keyOne', observed };
      expect(await subject.consumers.restart(order)).toBe('patched');
      const restarted = await look(consumer);
      expect(restartedKeyId(restarted, 'billing')).toBe('keyOne');
      expect(restarted.metadata.generation).toBe((observed.metadata.generation ?? 0) + 1);
      // A crash came before anybody noted it; then the same picture, and a fresh one.
      expect(await subject.consumers.restart(order)).toBe('already');
      expect(await subject.consumers.restart({ ...order, observed: restarted })).toBe('already');
      expect((await look(consumer)).metadata.generation).toBe(restarted.metadata.generation);
    });

    it('keeps the other annotations of the pod template', async () => {
      const { consumer } = await made('kept');
      await subject.driver.annotateTemplate(consumer, 'example.com/build', '7');
      const observed = await look(consumer);
      await subject.consumers.restart({ consumer, apiKey: billing(), keyId: 'keyOne', observed });
      expect((await look(consumer)).spec.template?.metadata?.annotations).toEqual({
        'example.com/build': '7',
        [restartedFor('billing')]: 'keyOne',
      });
    });

    it('restarts although the workload changed otherwise since it was looked at', async () => {
      const { consumer, observed } = await made('busy');
      await subject.driver.touch(consumer);
      expect((await look(consumer)).metadata.resourceVersion).not.toBe(observed.metadata.resourceVersion);
      expect(await subject.consumers.restart({ consumer, apiKey: billing(), keyId: 'keyOne', observed })).toBe('patched');
    });

    it('never goes back to the version of an out-of-date picture', async () => {
      const { consumer, observed } = await made('led');
      await subject.consumers.restart({ consumer, apiKey: billing(), keyId: 'keyTwo', observed });
      // A leader that was paused before its restart wakes up.
      expect(await subject.consumers.restart({ consumer, apiKey: billing(), keyId: 'keyOne', observed })).toBe('lost');
      expect(restartedKeyId(await look(consumer), 'billing')).toBe('keyTwo');
    });

    it('lets two ApiKeys restart one workload without disturbing each other', async () => {
      const { consumer } = await made('shared');
      for (const name of ['billing', 'search.index']) {
        const order = { consumer, apiKey: keyOf(name), keyId: `of-${name}`, observed: await look(consumer) };
        expect(await subject.consumers.restart(order)).toBe('patched');
      }
      const restarted = await look(consumer);
      for (const name of ['billing', 'search.index']) {
        expect(restartedKeyId(restarted, name)).toBe(`of-${name}`);
        const order = { consumer, apiKey: keyOf(name), keyId: `of-${name}`, observed: restarted };
        expect(await subject.consumers.restart(order)).toBe('already');
      }
      expect((await look(consumer)).metadata.generation).toBe(restarted.metadata.generation);
    });

    it('sees that a workload is not there, before and at the restart', async () => {
      const { consumer, observed } = await made('gone');
      await subject.driver.delete(consumer);
      expect(await subject.consumers.look(consumer, subject.namespace)).toBeUndefined();
      expect(await subject.consumers.restart({ consumer, apiKey: billing(), keyId: 'keyOne', observed })).toBe('missing');
    });

    it('does not restart another workload that has taken the name', async () => {
      const { consumer, observed } = await made('replaced');
      await subject.driver.delete(consumer);
      await subject.driver.create(consumer);
      expect(await subject.consumers.restart({ consumer, apiKey: billing(), keyId: 'keyOne', observed })).toBe('lost');
      expect(restartedKeyId(await look(consumer), 'billing')).toBeUndefined();
    });
  });
}
