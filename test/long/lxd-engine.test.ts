import {registerEngineProviderContract} from '../contract/engine-provider.ts';
import {startTestIncus} from '../helpers/incus-daemon.ts';
import {incusContract} from '../helpers/incus-provider-world.ts';

registerEngineProviderContract({
  name: 'incus on LXD',
  server: await startTestIncus('lxd'),
  ...incusContract,
});
