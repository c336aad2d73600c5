import {registerContainerProviderContract} from '../../../contract/container-provider.ts';
import {levelSkipReason} from '../../../helpers/level-available.ts';
import {processWorld} from '../../../helpers/process-provider-world.ts';

const plainSkipReason = await levelSkipReason('plain');
const sandboxSkipReason = await levelSkipReason('sandbox');
const networkSkipReason = await levelSkipReason('network');

registerContainerProviderContract({
  name: 'process plain',
  skipReason: plainSkipReason,
  setup: (t) => processWorld(t, 'plain'),
});

registerContainerProviderContract({
  name: 'process sandbox',
  skipReason: sandboxSkipReason,
  setup: (t) => processWorld(t, 'sandbox'),
});

registerContainerProviderContract({
  name: 'process network',
  skipReason: networkSkipReason,
  setup: (t) => processWorld(t, 'network'),
});
