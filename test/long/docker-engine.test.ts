import test from 'ava';
import {registerContainerProviderContract} from '../contract/container-provider.ts';
import {startTestEngine} from '../helpers/container-engine.ts';
import {dockerWorld} from '../helpers/docker-provider-world.ts';

const docker = await startTestEngine('docker');

registerContainerProviderContract({
  name: 'docker on Docker Engine',
  skipReason: 'reason' in docker ? docker.reason : null,
  setup: async (t) => {
    if ('reason' in docker) throw new Error(docker.reason);
    return dockerWorld(t, docker);
  },
});

test.after.always('the engine ends', async () => {
  if (!('reason' in docker)) await docker.close();
});
