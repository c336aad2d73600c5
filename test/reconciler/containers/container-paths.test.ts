import {dirname} from 'node:path';
import test from 'ava';
import {containerPaths} from '../../../reconciler/containers/container-paths.ts';
import {fitsSockets} from '../../../runtime/platform/socket-paths.ts';

const id = 'f'.repeat(24);

test('whatever the length of the state path, the runtime can make its sockets', (t) => {
  for (let length = 1; length < 300; length += 1) {
    const {runtimeSocket, controlSocket} = containerPaths(
      `/${'x'.repeat(length)}`,
      id,
      '/run/user/1000/branchtab-1000',
    );
    t.true(fitsSockets(dirname(runtimeSocket)), `${length}`);
    t.true(fitsSockets(dirname(controlSocket)), `${length}`);
  }
});

test('sockets stay with the container where they fit', (t) => {
  t.false(containerPaths('/var/lib/branchtab/containers', id, '/tmp/branchtab-0').socketsElsewhere);
  t.true(
    containerPaths('/home/alice/.local/state/branchtab/0123456789ab/containers', id, '/tmp/branchtab-0')
      .socketsElsewhere,
  );
});
