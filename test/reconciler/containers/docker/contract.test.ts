import test from 'ava';
import {registerContainerProviderContract} from '../../../contract/container-provider.ts';
import {startTestEngine} from '../../../helpers/container-engine.ts';
import {dockerWorld} from '../../../helpers/docker-provider-world.ts';

const podman = await startTestEngine('podman');

registerContainerProviderContract({
  name: 'docker on podman',
  skipReason: 'reason' in podman ? podman.reason : null,
  setup: async (t) => {
    if ('reason' in podman) throw new Error(podman.reason);
    return dockerWorld(t, podman);
  },
});

test.after.always('the engine ends', async () => {
  if (!('reason' in podman)) await podman.close();
});
