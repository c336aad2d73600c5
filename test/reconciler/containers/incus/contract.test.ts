import test from 'ava';
import {registerContainerProviderContract} from '../../../contract/container-provider.ts';
import {startTestIncus} from '../../../helpers/incus-daemon.ts';
import {incusWorld} from '../../../helpers/incus-provider-world.ts';

const lxd = await startTestIncus();

registerContainerProviderContract({
  name: 'incus on LXD',
  skipReason: 'reason' in lxd ? lxd.reason : null,
  setup: async (t) => {
    if ('reason' in lxd) throw new Error(lxd.reason);
    return incusWorld(t, lxd);
  },
});

test.after.always('the server ends', async () => {
  if (!('reason' in lxd)) await lxd.close();
});
