ag_test(gaze_export MODULES export report timing config reference model base LABELS cpu)
if(AUTOGAZE_FFMPEG)
  ag_test(export MODULES export report timing config reference base LABELS cpu)
endif()
