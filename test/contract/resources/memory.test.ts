import { FakeClock } from '../../harness/fakes/clock.ts';
import { FakeResources } from '../../harness/fakes/resources.ts';
import { resourcesContract } from './suite.ts';

resourcesContract('resources in memory', () => {
  const resources = new FakeResources(new FakeClock());
  const namespace = 'payments';
  resources.create('Namespace', {
    metadata: { name: namespace, labels: { 'kubernetes.io/metadata.name': namespace } },
    spec: {},
  });
  const done = Promise.resolve();
  return Promise.resolve({
    resources,
    namespace,
    close: () => done,
    driver: {
      create: (kind, metadata, spec) => {
        resources.create(kind, { metadata, spec: spec });
        return done;
      },
      edit: (kind, ref, spec) => {
        resources.update(kind, ref, (object) => ({ ...object, spec: { ...(object.spec as object), ...spec } }));
        return done;
      },
      writeStatus: (kind, ref, status) => {
        resources.update(kind, ref, (object) => ({
          ...object,
          status: { ...(object as { status?: object }).status, ...status },
        }));
        return done;
      },
      delete: (kind, ref) => {
        resources.delete(kind, ref);
        return done;
      },
      createSecret: (ref, data) => {
        resources.putSecret(ref, { type: 'Opaque', data });
        return done;
      },
      changeSecret: (ref, data) => {
        const old = resources.peekSecret(ref);
        resources.putSecret(ref, { ...old, data: { ...old?.data, ...data } });
        return done;
      },
      deleteSecret: (ref) => {
        resources.deleteSecret(ref);
        return done;
      },
    },
  });
});
