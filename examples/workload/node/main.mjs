// Calls an API again and again with the key of a mounted Secret:
//   node examples/workload/node/main.mjs <directory of the Secret> [<URL>]
import { setTimeout as pause } from 'node:timers/promises';
import { fetchWithKey, MountedKey, onNewKey } from './apikey.mjs';

const [directory, url = 'http://127.0.0.1:8090/v1/subscribers'] = process.argv.slice(2);
const key = new MountedKey(directory, 1000);
onNewKey(directory, () => console.log('new key'));

for (;;) {
  const answer = await fetchWithKey(key, url);
  console.log(`${answer.ok ? 'allowed' : 'refused'} ${await answer.text()}`);
  await pause(200);
}
