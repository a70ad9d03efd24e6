# Three images of one model. They share a lock, and what is the same in them is locked and stored once.
{
  description = "A model for machines with and without a GPU";

  outputs = { self, cognix, ... }: {
    images = {
      cpu = {
        environment.MODEL_DEVICE = "cpu";
      };

      # What cpu has, and what a GPU needs besides.
      cuda = self.images.cpu // {
        gpu = true;
        cuda = "12.4";
        packages = [ "nvidia-cuda-runtime-cu12==12.4.127" ];
        environment.MODEL_DEVICE = "cuda";
      };

      # What cpu has, with the numpy that somebody's old results were made with.
      pinned-numpy = self.images.cpu // {
        overrides = final: prev: {
          numpy = prev.numpy.override { version = "1.26.4"; };
        };
      };
    };
  };
}
