``[publish NAME]`` takes labels of taas, as what is called and as what answers.
