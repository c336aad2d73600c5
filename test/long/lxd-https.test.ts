import {registerEngineProviderContract} from '../contract/engine-provider.ts';
import {startTestIncus} from '../helpers/incus-daemon.ts';
import {overHttps} from '../helpers/incus-https.ts';
import {incusContract} from '../helpers/incus-provider-world.ts';

const lxd = await startTestIncus();

registerEngineProviderContract({
  name: 'incus on LXD over HTTPS',
  server: 'reason' in lxd ? lxd : await overHttps(lxd),
  isFar: true,
  ...incusContract,
});
